use super::*;
use cni_plugin::Route;
use std::time::Duration;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TRANSACTION: u32 = 0x1234_5678;

fn client(wishes: &Wishes) -> Client<'_> {
    Client { id: b"\0c1/lan/eth0", mac: MAC, wishes, broadcast: false }
}

/// A server's message with these options after the type.
fn message(kind: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![2, 1, 6, 0];
    bytes.extend(TRANSACTION.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend([10, 0, 0, 5]);
    bytes.extend([0; 8]);
    bytes.extend(MAC);
    bytes.resize(236, 0);
    bytes.extend([99, 130, 83, 99]);
    bytes.extend(option(53, &[kind]));
    bytes.extend(option(54, &[10, 0, 0, 1]));
    for (code, value) in options {
        bytes.extend(option(*code, value));
    }
    bytes.push(255);
    bytes
}

fn option(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, u8::try_from(value.len()).unwrap()], value].concat()
}

const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;
const MASK: (u8, &[u8]) = (1, &[255, 255, 255, 0]);
const ROUTER: (u8, &[u8]) = (3, &[10, 0, 0, 1, 10, 0, 0, 2]);

fn granted_with(wishes: &Wishes, options: &[(u8, &[u8])]) -> Result<Grant, String> {
    match client(wishes).read(&message(ACK, options), TRANSACTION, false)? {
        Some(Reply::Grant(grant)) => Ok(*grant),
        other => panic!("{other:?}"),
    }
}

fn granted(options: &[(u8, &[u8])]) -> Grant {
    let all: Vec<_> = [MASK].iter().chain(options).copied().collect();
    granted_with(&Wishes::default(), &all).unwrap()
}

fn routes(grant: &Grant) -> Vec<String> {
    let route = |route: &Route| format!("{} {} {:?}", route.dst, route.gw.unwrap(), route.scope);
    grant.settings.routes.iter().map(route).collect()
}

/// What a server would read: the options, by code.
fn sent(bytes: &[u8]) -> (v4::borrowed::Message<'_>, Options) {
    (v4::borrowed::Message::new(bytes).unwrap(), Options::read(bytes))
}

fn lease() -> Lease {
    granted(&[(51, &[0, 0, 0, 100])]).from(crate::moment::Moment::from_boot(Duration::from_secs(5)))
}

#[test]
fn a_discover_says_who_and_what_for() {
    let wishes = Wishes {
        provide: vec![(12, b"web".to_vec()), (53, b"x".to_vec()), (50, b"abcd".to_vec())],
        request: vec![1, 3, 6],
        ..Wishes::default()
    };
    let bytes = client(&wishes).write(&Message::Seek, TRANSACTION, Duration::from_secs(3), None);
    let (wire, options) = sent(&bytes);
    assert_eq!((wire.opcode(), wire.xid(), wire.secs()), (Opcode::BootRequest, TRANSACTION, 3));
    assert_eq!((wire.chaddr(), wire.ciaddr()), (&MAC[..], Ipv4Addr::UNSPECIFIED));
    assert!(!wire.flags().broadcast());
    assert_eq!(options.message_type(), Some(MessageType::Discover), "the configuration cannot change that");
    assert_eq!(options.bytes(OptionCode::RequestedIpAddress), None);
    assert_eq!(options.bytes(OptionCode::ClientIdentifier), Some(&b"\0c1/lan/eth0"[..]));
    assert_eq!(options.bytes(OptionCode::Hostname), Some(&b"web"[..]));
    assert_eq!(options.bytes(OptionCode::ParameterRequestList), Some(&[1, 3, 6][..]));
    assert_eq!(options.bytes(OptionCode::MaxMessageSize), Some(&MAX_MESSAGE.to_be_bytes()[..]));
    assert!(bytes.len() >= 300);
}

#[test]
fn a_request_names_address_and_server() {
    let offer = Offer { address: "10.0.0.5".parse().unwrap(), server: vec![10, 0, 0, 1], preference: TAKE_AT_ONCE };
    let wishes = Wishes::default();
    let bytes = client(&wishes).write(&Message::Request(offer), TRANSACTION, Duration::ZERO, Some(&lease()));
    let (wire, options) = sent(&bytes);
    assert_eq!(options.message_type(), Some(MessageType::Request));
    assert_eq!(options.addresses(OptionCode::RequestedIpAddress), [Ipv4Addr::new(10, 0, 0, 5)]);
    assert_eq!(options.addresses(OptionCode::ServerIdentifier), [Ipv4Addr::new(10, 0, 0, 1)]);
    assert_eq!(wire.ciaddr(), Ipv4Addr::UNSPECIFIED);
}

/// RFC 2131, table 5: a client that renews or rebinds fills in `ciaddr` and neither option 50 nor 54.
#[test]
fn a_renewal_names_the_address_in_ciaddr_alone() {
    let wishes = Wishes::default();
    for message in [Message::Renew, Message::Rebind] {
        let bytes = client(&wishes).write(&message, TRANSACTION, Duration::from_secs(1 << 20), Some(&lease()));
        let (wire, options) = sent(&bytes);
        assert_eq!(options.message_type(), Some(MessageType::Request));
        assert_eq!((wire.ciaddr(), wire.secs()), (Ipv4Addr::new(10, 0, 0, 5), u16::MAX));
        assert_eq!(options.bytes(OptionCode::RequestedIpAddress), None);
        assert_eq!(options.bytes(OptionCode::ServerIdentifier), None);
    }
}

#[test]
fn a_release_names_the_client_that_had_asked() {
    let wishes = Wishes { provide: vec![(61, b"mine".to_vec())], ..Wishes::default() };
    let client = Client { broadcast: true, ..client(&wishes) };
    let bytes = client.release(TRANSACTION, &lease());
    let (wire, options) = sent(&bytes);
    assert_eq!(options.message_type(), Some(MessageType::Release));
    assert_eq!(wire.ciaddr(), Ipv4Addr::new(10, 0, 0, 5));
    assert_eq!(options.addresses(OptionCode::ServerIdentifier), [Ipv4Addr::new(10, 0, 0, 1)]);
    assert_eq!(options.bytes(OptionCode::ClientIdentifier), Some(&b"mine"[..]));
    let bytes = client.write(&Message::Seek, TRANSACTION, Duration::ZERO, None);
    let (wire, options) = sent(&bytes);
    assert_eq!(options.bytes(OptionCode::ClientIdentifier), Some(&b"mine"[..]), "the same in both");
    assert!(wire.flags().broadcast());
}

#[test]
fn an_offer_is_taken_at_once() {
    let wishes = Wishes::default();
    let reply = client(&wishes).read(&message(OFFER, &[MASK]), TRANSACTION, true).unwrap();
    let Some(Reply::Offer(offer)) = reply else { panic!("{reply:?}") };
    assert_eq!((offer.address, offer.preference), ("10.0.0.5".parse().unwrap(), TAKE_AT_ONCE));
    assert_eq!(server_address(&offer.server), Ipv4Addr::new(10, 0, 0, 1));
}

#[test]
fn an_ack_gives_address_gateway_routes_names_and_times() {
    let grant = granted(&[
        ROUTER,
        (51, &[0, 0, 0, 100]),
        (58, &[0, 0, 0, 10]),
        (59, &[0, 0, 0, 20]),
        (6, &[10, 0, 0, 53, 10, 0, 0, 54]),
        (15, b"example.org"),
        (119, b"\x01a\x07example\x00\x01b\xc0\x02"),
    ]);
    assert_eq!(grant.settings.address, "10.0.0.5/24".parse().unwrap());
    assert_eq!(grant.settings.gateway, Some("10.0.0.1".parse().unwrap()));
    assert_eq!(routes(&grant), ["0.0.0.0/0 10.0.0.1 None"]);
    let dns = &grant.settings.dns;
    assert_eq!(dns.nameservers, ["10.0.0.53", "10.0.0.54"]);
    assert_eq!(
        (dns.domain.as_str(), &dns.search[..]),
        ("example.org", &["a.example".to_owned(), "b.example".into()][..])
    );
    let times = [grant.times.renew, grant.times.rebind, grant.times.valid];
    assert_eq!(times, [10, 20, 100].map(|seconds| Some(Duration::from_secs(seconds))));
}

#[test]
fn a_lease_without_a_time_lasts_an_hour() {
    assert_eq!(granted(&[]).times.valid, Some(Duration::from_secs(3600)));
    assert_eq!(granted(&[(51, &[255; 4])]).times.valid, None);
    assert!(granted_with(&Wishes::default(), &[MASK, (51, &[0; 4])]).is_err());
}

#[test]
fn classless_routes_stand_for_all_others() {
    let classless: &[u8] =
        &[24, 10, 9, 8, 10, 0, 0, 7, 0, 10, 0, 0, 9, 12, 172, 31, 10, 0, 0, 8, 16, 10, 99, 0, 0, 0, 0];
    let grant = granted(&[ROUTER, (33, &[10, 7, 0, 0, 10, 0, 0, 3]), (121, classless)]);
    let expected = [
        "10.9.8.0/24 10.0.0.7 None",
        "0.0.0.0/0 10.0.0.9 None",
        "172.16.0.0/12 10.0.0.8 None",
        "10.99.0.0/16 0.0.0.0 Some(253)",
    ];
    assert_eq!(routes(&grant), expected);
    assert_eq!(grant.settings.gateway, Some("10.0.0.1".parse().unwrap()), "it is reported all the same");
}

#[test]
fn static_routes_have_their_class_s_prefix() {
    let pairs: &[u8] =
        &[10, 7, 1, 1, 10, 0, 0, 3, 172, 20, 1, 0, 10, 0, 0, 4, 192, 0, 2, 9, 10, 0, 0, 5, 0, 0, 0, 0, 6, 6, 6, 6];
    let expected = [
        "10.0.0.0/8 10.0.0.3 None",
        "172.20.0.0/16 10.0.0.4 None",
        "192.0.2.0/24 10.0.0.5 None",
        "0.0.0.0/0 10.0.0.1 None",
    ];
    assert_eq!(routes(&granted(&[(33, pairs), ROUTER])), expected);
}

#[test]
fn routes_can_have_a_metric_and_no_default() {
    let classless: (u8, &[u8]) = (121, &[0, 10, 0, 0, 9, 8, 11, 10, 0, 0, 8]);
    let wishes = Wishes { priority: Some(300), suppress_gateway: true, ..Wishes::default() };
    let grant = granted_with(&wishes, &[MASK, ROUTER, classless]).unwrap();
    assert_eq!(routes(&grant), ["11.0.0.0/8 10.0.0.8 None"]);
    assert_eq!((grant.settings.routes[0].priority, grant.settings.gateway), (Some(300), None));
    let grant = granted_with(&wishes, &[MASK, ROUTER]).unwrap();
    assert_eq!(routes(&grant), [""; 0]);
}

#[test]
fn an_answer_without_a_mask_says_what_to_do() {
    let error = granted_with(&Wishes::default(), &[]).unwrap_err();
    assert!(error.contains("subnet mask") && error.contains("skipDefault"), "{error}");
    assert!(granted_with(&Wishes::default(), &[(1, &[255, 0, 255, 0])]).is_err());
}

#[test]
fn an_address_that_no_interface_could_have_is_refused() {
    for address in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [240, 0, 0, 1]] {
        let mut bytes = message(ACK, &[MASK]);
        bytes[16..20].copy_from_slice(&address);
        assert!(client(&Wishes::default()).read(&bytes, TRANSACTION, false).is_err(), "{address:?}");
    }
}

#[test]
fn a_nak_carries_the_servers_words() {
    let reply = client(&Wishes::default()).read(&message(NAK, &[(56, b"wrong\nnetwork")]), TRANSACTION, false);
    assert_eq!(reply, Ok(Some(Reply::Refusal { reason: "DHCPNAK: wrongnetwork".into(), revokes: true })));
}

#[test]
fn what_is_not_for_us_is_nothing() {
    let wishes = Wishes::default();
    let none = |change: &dyn Fn(&mut Vec<u8>), seeking| {
        let mut bytes = message(if seeking { OFFER } else { ACK }, &[MASK]);
        change(&mut bytes);
        assert_eq!(client(&wishes).read(&bytes, TRANSACTION, seeking), Ok(None));
    };
    for seeking in [true, false] {
        none(&|bytes| bytes[7] ^= 1, seeking);
        none(&|bytes| bytes[33] ^= 1, seeking);
        none(&|bytes| bytes[0] = 1, seeking);
        none(&|bytes| bytes[1] = 6, seeking);
        none(&|bytes| bytes[2] = 255, seeking);
        none(&|bytes| bytes[236] = 0, seeking);
        none(&|bytes| bytes.truncate(239), seeking);
        none(&|bytes| bytes.clear(), seeking);
    }
    for (kind, seeking) in [(OFFER, false), (ACK, true), (NAK, true), (1, true), (3, false), (7, false)] {
        assert_eq!(client(&wishes).read(&message(kind, &[MASK]), TRANSACTION, seeking), Ok(None), "{kind} {seeking}");
    }
}

#[test]
fn options_may_overflow_into_file_and_sname() {
    let mut bytes = message(ACK, &[(52, &[3]), (6, &[10, 0])]);
    bytes[108..118].copy_from_slice(&[6, 2, 0, 53, 1, 4, 255, 255, 0, 0]);
    bytes[118] = 255;
    bytes[44..50].copy_from_slice(&[3, 4, 10, 0, 0, 9]);
    bytes[50] = 255;
    let reply = client(&Wishes::default()).read(&bytes, TRANSACTION, false);
    let Ok(Some(Reply::Grant(grant))) = reply else { panic!("{reply:?}") };
    assert_eq!(grant.settings.address, "10.0.0.5/16".parse().unwrap());
    assert_eq!(grant.settings.gateway, Some("10.0.0.9".parse().unwrap()));
    assert_eq!(grant.settings.dns.nameservers, ["10.0.0.53"], "one option in two pieces (RFC 3396)");
}

/// Each byte of a good message replaced, and each end cut off: something or nothing may come of it, but no panic, and no
/// name that is none.
#[test]
fn no_message_makes_it_panic() {
    let good = message(
        ACK,
        &[
            MASK,
            ROUTER,
            (51, &[0, 0, 0, 100]),
            (52, &[3]),
            (6, &[10, 0, 0, 53]),
            (15, b"example.org"),
            (33, &[10, 7, 0, 0, 10, 0, 0, 3]),
            (56, b"words"),
            (119, b"\x01a\x07example\x00\x01b\xc0\x02"),
            (121, &[24, 10, 9, 8, 10, 0, 0, 7, 0, 10, 0, 0, 9]),
        ],
    );
    let wishes = Wishes::default();
    let read = |bytes: &[u8]| {
        if let Ok(Some(Reply::Grant(grant))) = client(&wishes).read(bytes, TRANSACTION, false) {
            let dns = &grant.settings.dns;
            let clean = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            assert!(dns.search.iter().all(clean) && clean(&dns.domain), "{dns:?}");
        }
    };
    for length in 0..good.len() {
        read(&good[..length]);
    }
    for (i, byte) in (0..good.len()).flat_map(|i| (0..=255).map(move |byte| (i, byte))) {
        let mut bad = good.clone();
        bad[i] = byte;
        read(&bad);
    }
}
