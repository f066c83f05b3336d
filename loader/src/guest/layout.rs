//! Guest structures, declared once for both widths.

/// Declares structures with C layout for the width of this process.
///
/// ```text
/// guest_struct! {
///     /// `SECURITY_ATTRIBUTES` of `minwinbase.h`.
///     pub struct SecurityAttributes {
///         length: u32,
///         security_descriptor: UserPtr,
///         inherit_handle: u32,
///     }
/// }
/// ```
///
/// Fields are laid out with their natural alignment, which is what both compilers do for structures
/// of integers and pointers; 8-byte integers have alignment 8 on both. `Ptr<T>::read`/`write` work
/// on it, and `T::offset_of("field")` gives an offset.
#[macro_export]
macro_rules! guest_struct {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs, dead_code, reason = "fields are named as in the Windows header")]
        $vis struct $name { $($(#[$fmeta])* pub $field: $ty),* }

        #[allow(dead_code, unused_assignments, reason = "not every structure needs every helper")]
        impl $name {
            /// Returns the offset of a field in bytes.
            pub fn offset_of(field: &str) -> usize {
                let mut end = 0_usize;
                $(
                    let at = end.next_multiple_of(<$ty as $crate::guest::Guest>::align());
                    if field == stringify!($field) {
                        return at;
                    }
                    end = at + <$ty as $crate::guest::Guest>::size();
                )*
                unreachable!("no field {field} in {}", stringify!($name))
            }
        }

        #[allow(unused_assignments, reason = "the last step of the walk is not read")]
        impl $crate::guest::Guest for $name {
            fn size() -> usize {
                let mut end = 0_usize;
                $(end = end.next_multiple_of(<$ty as $crate::guest::Guest>::align()) + <$ty as $crate::guest::Guest>::size();)*
                end.next_multiple_of(<Self as $crate::guest::Guest>::align())
            }
            fn align() -> usize {
                1 $(.max(<$ty as $crate::guest::Guest>::align()))*
            }
            fn load<M: $crate::guest::Memory>(at: u64) -> Result<Self, M::Fault> {
                let mut end = 0_usize;
                $(
                    let offset = end.next_multiple_of(<$ty as $crate::guest::Guest>::align());
                    let $field = <$ty as $crate::guest::Guest>::load::<M>(at.wrapping_add(offset as u64))?;
                    end = offset + <$ty as $crate::guest::Guest>::size();
                )*
                Ok($name { $($field),* })
            }
            fn store<M: $crate::guest::Memory>(self, at: u64) -> Result<(), M::Fault> {
                let mut end = 0_usize;
                $(
                    let offset = end.next_multiple_of(<$ty as $crate::guest::Guest>::align());
                    self.$field.store::<M>(at.wrapping_add(offset as u64))?;
                    end = offset + <$ty as $crate::guest::Guest>::size();
                )*
                Ok(())
            }
        }
    )*};
}
