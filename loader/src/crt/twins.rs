//! Declarations of functions that exist for narrow and wide characters alike.

/// Declares a function twice, as `narrow` with `Char = u8` and as `wide` with `Char = u16`.
///
/// ```text
/// twins! {
///     /// Copies a string.
///     "msvcrt.dll|ucrtbase.dll" fn strcpy / wcscpy(to: Ptr<Char>, from: Ptr<Char>) -> Ptr<Char> { … }
/// }
/// ```
///
/// Names after `=` replace the exported name, as in `win_api!`. A name may take more arguments than are declared, which
/// it ignores: the caller removes them (`cdecl`). So `_l` functions are names of the ones without a locale.
macro_rules! twins {
    ($($(#[doc = $doc:literal])* $dll:literal fn $narrow:ident $(= $narrow_names:literal)? / $wide:ident $(= $wide_names:literal)?
        ($($arg:ident : $ty:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {
        #[allow(unused_imports, reason = "not every module uses every import of its parent")]
        pub(crate) mod narrow {
            use super::*;
            type Char = u8;
            $crate::win_api! { $($(#[doc = $doc])* $dll cdecl fn $narrow $(= $narrow_names)? ($($arg : $ty),*) $(-> $result)? $body)* }
        }
        #[allow(unused_imports, reason = "as above")]
        pub(crate) mod wide {
            use super::*;
            type Char = u16;
            $crate::win_api! { $($(#[doc = $doc])* $dll cdecl fn $wide $(= $wide_names)? ($($arg : $ty),*) $(-> $result)? $body)* }
        }
    };
}

pub(crate) use twins;
