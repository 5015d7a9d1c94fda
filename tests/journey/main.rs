//! The house as a whole.

mod layering;
mod refusals;
