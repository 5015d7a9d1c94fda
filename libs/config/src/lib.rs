//! Typed settings from the environment, with secrets that do not print.
