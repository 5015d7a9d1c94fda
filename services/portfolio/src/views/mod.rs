//! Who has looked at which published portfolio. A view is put into a queue, and written with others within a second:
//! recording neither delays an answer nor makes it fail.

mod recorder;
mod store;
mod viewer;

pub use recorder::Views;
pub use viewer::{GuestKey, Viewer};
