//! The house as a whole.

mod books;
mod house;
mod journey;
mod layering;
mod outages;
mod person;
mod refusals;
mod steps;
mod tokens;
mod whole_or_none;
