//! Chained methods of configurations.

/// Gives a configuration a method for each named field, which sets it: configurations may get
/// fields, so that other crates cannot write them as literals.
#[cfg(any(
    feature = "file",
    feature = "object-stores",
    feature = "redis",
    feature = "seal"
))]
macro_rules! setters {
    ($type:ident { $($into:ident: impl Into<$given:ty>,)* } { $($plain:ident: $exact:ty,)* }) => {
        impl $type {
            $(
                #[doc = concat!("Sets [`", stringify!($into), "`](#structfield.", stringify!($into), ").")]
                #[must_use]
                pub fn $into(mut self, $into: impl Into<$given>) -> Self {
                    let given: $given = $into.into();
                    self.$into = given.into();
                    self
                }
            )*
            $(
                #[doc = concat!("Sets [`", stringify!($plain), "`](#structfield.", stringify!($plain), ").")]
                #[must_use]
                pub fn $plain(mut self, $plain: $exact) -> Self {
                    self.$plain = $plain.into();
                    self
                }
            )*
        }
    };
}

#[cfg(any(
    feature = "file",
    feature = "object-stores",
    feature = "redis",
    feature = "seal"
))]
pub(crate) use setters;
