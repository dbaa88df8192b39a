//! Where somebody may connect to, as it is written.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An address with or without a port, or a port alone, as in `:8080`.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let port = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let whole = text.replace("localhost", "127.0.0.1").parse().ok();
    let alone = || text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 0));
    let found = whole.or_else(|| port.map(|port| SocketAddr::new(here, port))).or_else(alone);
    found.ok_or_else(|| "an address is as `127.0.0.1:8080`, `[::1]:0` or `:8080`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_this_machine_unless_another_is_named() {
        let table = [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("localhost:80", "127.0.0.1:80"),
            (":80", "127.0.0.1:80"),
            ("[::1]:0", "[::1]:0"),
            ("::1", "[::1]:0"),
            ("10.0.0.1", "10.0.0.1:0"),
        ];
        for (text, expected) in table {
            assert_eq!(address(text).unwrap(), expected.parse().unwrap(), "{text}");
        }
        for text in ["", ":", "80", "host:80", "127.0.0.1:99999"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
