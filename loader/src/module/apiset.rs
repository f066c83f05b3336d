//! API set names: the aliases `api-ms-win-…` that current toolchains import from.
//!
//! Source: Microsoft Learn, "Windows API sets"; the host DLLs are those named on its reference pages.

/// Prefix of the contract and the DLL that implements it; the first match counts.
const HOSTS: &[(&str, &str)] = &[
    ("api-ms-win-crt-", "ucrtbase.dll"),
    ("api-ms-win-core-rtlsupport-", "ntdll.dll"),
    ("api-ms-win-core-com-", "combase.dll"),
    ("api-ms-win-core-winrt-", "combase.dll"),
    ("api-ms-win-core-version-", "version.dll"),
    ("api-ms-win-core-", "kernelbase.dll"),
    ("api-ms-win-appmodel-", "kernelbase.dll"),
    ("api-ms-win-security-sddl-", "advapi32.dll"),
    ("api-ms-win-security-lsalookup-", "advapi32.dll"),
    ("api-ms-win-security-systemfunctions-", "advapi32.dll"),
    ("api-ms-win-security-", "kernelbase.dll"),
    ("api-ms-win-eventing-provider-", "kernelbase.dll"),
    ("api-ms-win-eventing-", "advapi32.dll"),
    ("api-ms-win-service-", "advapi32.dll"),
    ("api-ms-win-shcore-", "shcore.dll"),
    ("api-ms-win-power-", "powrprof.dll"),
    ("ext-ms-win-ntuser-", "user32.dll"),
];

/// Returns the DLL behind a lower-case API set name, or the name itself.
#[must_use]
pub fn host_of(dll: &str) -> &str {
    HOSTS
        .iter()
        .find(|(prefix, _)| dll.starts_with(prefix))
        .map_or(dll, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn names_resolve_to_their_hosts() {
        assert_eq!(host_of("api-ms-win-crt-stdio-l1-1-0.dll"), "ucrtbase.dll");
        assert_eq!(
            host_of("api-ms-win-core-synch-l1-2-0.dll"),
            "kernelbase.dll"
        );
        assert_eq!(host_of("api-ms-win-core-com-l1-1-0.dll"), "combase.dll");
        assert_eq!(host_of("kernel32.dll"), "kernel32.dll");
    }
}
