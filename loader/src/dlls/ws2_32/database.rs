//! Protocols and services by name and number: the system's tables, then what IANA assigned to those programs ask for.
//!
//! Both tables have the same form on Windows (`drivers\etc\protocol`, `services`) and here (`/etc/protocols`, `services`):
//! a line `name number aliases…` or `name port/protocol aliases…`, and `#` before a comment.

/// IANA, "Protocol Numbers".
const PROTOCOLS: &str = "ip 0 IP\nicmp 1 ICMP\nggp 3 GGP\ntcp 6 TCP\negp 8 EGP\npup 12 PUP\nudp 17 UDP\nhmp 20 HMP\n\
    xns-idp 22 XNS-IDP\nrdp 27 RDP\nipv6 41 IPv6\nipv6-route 43 IPv6-Route\nipv6-frag 44 IPv6-Frag\nesp 50 ESP\nah 51 AH\n\
    ipv6-icmp 58 IPv6-ICMP\nipv6-nonxt 59 IPv6-NoNxt\nipv6-opts 60 IPv6-Opts\nrvd 66 RVD\n";

/// IANA, "Service Name and Transport Protocol Port Number Registry".
const SERVICES: &str = "echo 7/tcp\necho 7/udp\ndiscard 9/tcp\ndiscard 9/udp\ndaytime 13/tcp\nftp-data 20/tcp\nftp 21/tcp\n\
    ssh 22/tcp\ntelnet 23/tcp\nsmtp 25/tcp\ntime 37/tcp\ntime 37/udp\ndomain 53/tcp\ndomain 53/udp\ntftp 69/udp\nhttp 80/tcp\n\
    kerberos 88/tcp\nkerberos 88/udp\npop3 110/tcp\nsunrpc 111/tcp\nsunrpc 111/udp\nnntp 119/tcp\nntp 123/udp\n\
    epmap 135/tcp\nimap 143/tcp\nsnmp 161/udp\nldap 389/tcp\nhttps 443/tcp\nhttps 443/udp\nmicrosoft-ds 445/tcp\n\
    syslog 514/udp\nprinter 515/tcp\nldaps 636/tcp\nimaps 993/tcp\npop3s 995/tcp\nms-sql-s 1433/tcp\n\
    ms-wbt-server 3389/tcp\n";

/// A line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Official name.
    pub name: String,
    /// Protocol number or port.
    pub number: u16,
    /// Protocol of a service; empty for a protocol.
    pub protocol: String,
    /// Other names.
    pub aliases: Vec<String>,
}

impl Entry {
    fn parse(line: &str) -> Option<Entry> {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let name = words.next()?.to_owned();
        let number = words.next()?;
        let (number, protocol) = number.split_once('/').unwrap_or((number, ""));
        Some(Entry {
            name,
            number: number.parse().ok()?,
            protocol: protocol.to_owned(),
            aliases: words.map(str::to_owned).collect(),
        })
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}

fn find(path: &str, assigned: &str, is_wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
    let system = std::fs::read(path).unwrap_or_default();
    let system = String::from_utf8_lossy(&system);
    let mut entries = system
        .lines()
        .chain(assigned.lines())
        .filter_map(Entry::parse);
    entries.find(is_wanted)
}

/// What to look for.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// A name or an alias.
    Name(String),
    /// A protocol number, or a port in host order.
    Number(u16),
}

impl Key {
    fn fits(&self, entry: &Entry) -> bool {
        match self {
            Key::Name(name) => entry.is_called(name),
            Key::Number(number) => entry.number == *number,
        }
    }
}

/// Finds a protocol.
pub(super) fn protocol(key: &Key) -> Option<Entry> {
    find("/etc/protocols", PROTOCOLS, |entry| key.fits(entry))
}

/// Finds a service, of one protocol or of any.
pub(super) fn service(key: &Key, protocol: Option<&str>) -> Option<Entry> {
    find("/etc/services", SERVICES, |entry| {
        key.fits(entry) && protocol.is_none_or(|wanted| entry.protocol == wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tables() {
        let line = "http\t80/tcp\twww www-http # World Wide Web";
        let entry = Entry::parse(line).expect("a service");
        assert_eq!((entry.number, entry.protocol.as_str()), (80, "tcp"));
        assert!(entry.is_called("www") && entry.is_called("http") && !entry.is_called("Web"));
        assert_eq!(Entry::parse("# comment"), None);
        assert_eq!(Entry::parse("name 65536/tcp"), None);
        for line in PROTOCOLS.lines().chain(SERVICES.lines()) {
            assert!(Entry::parse(line).is_some(), "{line}");
        }
        let number = |name: &str| protocol(&Key::Name(name.to_owned())).map(|e| e.number);
        assert_eq!((number("udp"), number("TCP")), (Some(17), Some(6)));
        let https = service(&Key::Number(443), Some("tcp")).expect("https");
        assert_eq!(https.name, "https");
    }
}
