//! Configuration in one line: URLs with typed options.

mod nearest;
mod option;
mod url;

pub use crate::percent::encode as percent_encode;
pub use nearest::nearest;
pub use option::{Bytes, OptionValue};
pub use url::Url;
