//! Configuration in one line: URLs with typed options.

mod nearest;
mod option;
mod setters;
mod url;

pub use crate::percent::encode as percent_encode;
pub use nearest::nearest;
pub use option::{Bytes, OptionValue};
#[cfg(any(feature = "file", feature = "redis", feature = "seal"))]
pub(crate) use setters::setters;
pub use url::Url;
