//! Configuration in one line: URLs with typed options.

mod nearest;
mod option;
#[cfg(any(feature = "redis", feature = "object-stores"))]
pub(crate) mod profile;
#[cfg(any(feature = "redis", feature = "object-stores"))]
pub(crate) mod secret;
mod setters;
mod url;

pub use crate::percent::encode as percent_encode;
pub use nearest::nearest;
pub use option::{Bytes, OptionValue};
#[cfg(any(
    feature = "file",
    feature = "object-stores",
    feature = "redis",
    feature = "seal"
))]
pub(crate) use setters::setters;
pub use url::Url;
#[cfg(feature = "object-stores")]
pub(crate) use url::decode;
