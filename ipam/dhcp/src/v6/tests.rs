use super::*;
use crate::moment::Moment;
use dhcproto::Decodable;

const DUID: &[u8] = b"\x00\x04client-identifier";
const SERVER: &[u8] = b"\x00\x03\x00\x01server";
const TRANSACTION: u32 = 0xff12_3456;

const ADVERTISE: u8 = 2;
const REPLY: u8 = 7;

const CLIENT: Client<'static> = Client { duid: DUID, wanted: None };

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&code.to_be_bytes(), &length.to_be_bytes(), value].concat()
}

fn address(address: &str, preferred: u32, valid: u32, more: &[u8]) -> Vec<u8> {
    let address: Ipv6Addr = address.parse().unwrap();
    option(5, &[&address.octets()[..], &preferred.to_be_bytes(), &valid.to_be_bytes(), more].concat())
}

fn association(id: u32, t1: u32, t2: u32, options: &[u8]) -> Vec<u8> {
    option(3, &[&id.to_be_bytes()[..], &t1.to_be_bytes(), &t2.to_be_bytes(), options].concat())
}

fn status(code: u16, words: &str) -> Vec<u8> {
    option(13, &[&code.to_be_bytes(), words.as_bytes()].concat())
}

/// A server's message with these options after both identifiers.
fn message(kind: u8, options: &[Vec<u8>]) -> Vec<u8> {
    [&[kind, 0x12, 0x34, 0x56][..], &option(1, DUID), &option(2, SERVER), &options.concat()].concat()
}

fn good() -> Vec<u8> {
    association(1, 10, 20, &address("fd00::5", 50, 100, &[]))
}

fn read(kind: u8, options: &[Vec<u8>], seeking: bool) -> Result<Option<Reply>, String> {
    CLIENT.read(&message(kind, options), TRANSACTION, seeking)
}

fn granted(options: &[Vec<u8>]) -> Grant {
    match read(REPLY, options, false) {
        Ok(Some(Reply::Grant(grant))) => *grant,
        other => panic!("{other:?}"),
    }
}

fn lease() -> Lease {
    granted(&[good()]).from(Moment::from_boot(Duration::from_secs(5)))
}

/// What a server would read, by the library's own reading.
fn sent(message: &Message) -> Wire {
    let bytes = CLIENT.write(message, TRANSACTION, Duration::from_millis(1230), Some(&lease()));
    Wire::decode(&mut Decoder::new(&bytes)).unwrap()
}

fn addresses(wire: &Wire) -> Vec<Ipv6Addr> {
    let Some(DhcpOption::IANA(association)) = wire.opts().get(OptionCode::IANA) else { panic!("no IA_NA: {wire:?}") };
    assert_eq!(association.id, ASSOCIATION);
    let all = association.opts.iter();
    all.map(|option| if let DhcpOption::IAAddr(address) = option { address.addr } else { panic!("{option:?}") })
        .collect()
}

fn server(wire: &Wire) -> Option<&[u8]> {
    wire.opts().get(OptionCode::ServerId).map(|option| match option {
        DhcpOption::ServerId(id) => id.as_slice(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn each_message_has_what_its_section_demands() {
    let offer = Offer { address: "fd00::9".parse().unwrap(), server: b"other".to_vec(), preference: 0 };
    let held: Ipv6Addr = "fd00::5".parse().unwrap();
    for (message, kind, expected_addresses, expected_server) in [
        (Message::Seek, MessageType::Solicit, vec![], None),
        (Message::Request(offer), MessageType::Request, vec!["fd00::9".parse().unwrap()], Some(&b"other"[..])),
        (Message::Renew, MessageType::Renew, vec![held], Some(SERVER)),
        (Message::Rebind, MessageType::Rebind, vec![held], None),
    ] {
        let wire = sent(&message);
        assert_eq!((wire.msg_type(), wire.xid_num()), (kind, 0x0012_3456));
        assert_eq!(addresses(&wire), expected_addresses, "{kind:?}");
        assert_eq!(server(&wire), expected_server, "{kind:?}");
        assert_eq!(wire.opts().get(OptionCode::ClientId), Some(&DhcpOption::ClientId(DUID.to_vec())));
        assert_eq!(wire.opts().get(OptionCode::ElapsedTime), Some(&DhcpOption::ElapsedTime(123)));
        assert_eq!(wire.opts().get(OptionCode::RapidCommit).is_some(), kind == MessageType::Solicit);
        let asked = ORO { opts: vec![OptionCode::DomainNameServers, OptionCode::DomainSearchList] };
        assert_eq!(wire.opts().get(OptionCode::ORO), Some(&DhcpOption::ORO(asked)));
    }
}

#[test]
fn a_release_names_address_and_server() {
    let bytes = CLIENT.release(TRANSACTION, &lease());
    let wire = Wire::decode(&mut Decoder::new(&bytes)).unwrap();
    assert_eq!(wire.msg_type(), MessageType::Release);
    assert_eq!((addresses(&wire), server(&wire)), (vec!["fd00::5".parse().unwrap()], Some(SERVER)));
    assert!(CLIENT.is_answer(&message(REPLY, &[status(0, "")]), TRANSACTION));
    assert!(!CLIENT.is_answer(&message(ADVERTISE, &[]), TRANSACTION));
    assert!(!CLIENT.is_answer(&message(REPLY, &[]), TRANSACTION + 1));
}

#[test]
fn an_advertisement_is_an_offer() {
    let preferred = |options: &[Vec<u8>]| match read(ADVERTISE, options, true) {
        Ok(Some(Reply::Offer(offer))) => (offer.address.to_string(), offer.server == SERVER, offer.preference),
        other => panic!("{other:?}"),
    };
    assert_eq!(preferred(&[good()]), ("fd00::5".into(), true, 0));
    assert_eq!(preferred(&[good(), option(7, &[255])]), ("fd00::5".into(), true, 255));
    assert_eq!(read(ADVERTISE, &[good()], false), Ok(None), "nobody asked");
}

#[test]
fn a_reply_gives_address_names_and_times() {
    let servers = option(23, &[[0xfd; 16], [0; 16], [0xfe; 16]].concat());
    let search = option(24, b"\x01a\x07example\x00\x01b\x07example\x00");
    let grant = granted(&[status(0, "fine"), good(), servers, search]);
    assert_eq!(grant.settings.address, "fd00::5/128".parse().unwrap());
    assert_eq!(grant.settings.gateway, None);
    let nameservers = ["fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd", "fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe"];
    assert_eq!(grant.settings.dns.nameservers, nameservers);
    assert_eq!(grant.settings.dns.search, ["a.example", "b.example"]);
    let times = [grant.times.renew, grant.times.rebind, grant.times.valid];
    assert_eq!(times, [10, 20, 100].map(|seconds| Some(Duration::from_secs(seconds))));
    assert_eq!(grant.server, SERVER);
}

#[test]
fn times_left_to_the_client_are_shares_of_the_preferred_lifetime() {
    let times = granted(&[association(1, 0, 0, &address("fd00::5", 50, 100, &[]))]).times;
    let expected = [25, 40, 100].map(|seconds| Some(Duration::from_secs(seconds)));
    assert_eq!([times.renew, times.rebind, times.valid], expected);
    let deprecated = granted(&[association(1, 0, 0, &address("fd00::5", 0, 100, &[]))]).times;
    assert_eq!(deprecated.renew, Some(Duration::from_secs(50)));
    let for_ever = granted(&[association(1, 0, 0, &address("fd00::5", u32::MAX, u32::MAX, &[]))]).times;
    assert_eq!([for_ever.renew, for_ever.rebind, for_ever.valid], [None; 3]);
}

#[test]
fn a_reply_to_a_solicit_has_to_be_a_rapid_one() {
    assert_eq!(read(REPLY, &[good()], true), Ok(None));
    assert!(matches!(read(REPLY, &[good(), option(14, &[])], true), Ok(Some(Reply::Grant(_)))));
}

#[test]
fn a_status_is_a_refusal_wherever_it_stands() {
    let refusal = |options: &[Vec<u8>], seeking| match read(if seeking { ADVERTISE } else { REPLY }, options, seeking) {
        Ok(Some(Reply::Refusal { reason, revokes })) => (reason, revokes),
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(&[status(2, "none\nleft"), good()], true), ("NoAddrsAvail: noneleft".into(), false));
    assert_eq!(refusal(&[association(1, 0, 0, &status(3, ""))], false), ("NoBinding".into(), false));
    assert_eq!(refusal(&[association(1, 0, 0, &status(4, ""))], false), ("NotOnLink".into(), true));
    let one_refused = [address("fd00::5", 50, 100, &status(1, "")), address("fd00::6", 50, 100, &[])].concat();
    assert_eq!(granted(&[association(1, 0, 0, &one_refused)]).settings.address, "fd00::6/128".parse().unwrap());
}

#[test]
fn a_reply_without_a_usable_address_cannot_be_used() {
    let with = |options: &[u8]| read(REPLY, &[association(1, 0, 0, options)], false);
    for bad in [
        address("fd00::5", 50, 0, &[]),
        address("fd00::5", 200, 100, &[]),
        address("::", 50, 100, &[]),
        address("::1", 50, 100, &[]),
        address("fe80::1", 50, 100, &[]),
        address("ff02::1", 50, 100, &[]),
        Vec::new(),
    ] {
        assert!(with(&bad).is_err(), "{bad:?}");
    }
    assert!(read(REPLY, &[association(2, 0, 0, &address("fd00::5", 50, 100, &[]))], false).is_err());
    assert!(read(REPLY, &[], false).is_err());
}

#[test]
fn what_is_not_for_us_is_nothing() {
    let none = |bytes: &[u8], transaction| assert_eq!(CLIENT.read(bytes, transaction, false), Ok(None), "{bytes:?}");
    none(&message(REPLY, &[good()]), TRANSACTION + 1);
    for kind in [1, 3, 5, 6, 8, 10, 12, 13, 255] {
        none(&message(kind, &[good()]), TRANSACTION);
    }
    let start = [REPLY, 0x12, 0x34, 0x56];
    none(&[&start[..], &option(2, SERVER), &good()].concat(), TRANSACTION);
    none(&[&start[..], &option(1, b"somebody else"), &option(2, SERVER), &good()].concat(), TRANSACTION);
    none(&[&start[..], &option(1, DUID), &good()].concat(), TRANSACTION);
    none(&[], TRANSACTION);
    none(&[REPLY], TRANSACTION);
}

/// The library would follow them to the end of the stack.
#[test]
fn options_in_options_in_options_are_not_followed() {
    let mut nested = Vec::new();
    for _ in 0..4000 {
        nested = [&[0, 3], &u16::try_from(nested.len() + 12).unwrap_or(u16::MAX).to_be_bytes()[..], &[0; 12], &nested]
            .concat();
        nested.truncate(65_000);
    }
    let _ = read(REPLY, &[nested], false);
}

#[test]
fn no_message_makes_it_panic() {
    let inner = [address("fd00::5", 50, 100, &status(0, "")), status(0, "words")].concat();
    let all = [
        association(1, 10, 20, &inner),
        status(0, "fine"),
        option(7, &[5]),
        option(14, &[]),
        option(23, &[0xfd; 32]),
        option(24, b"\x01a\x07example\x00\x01b\xc0\x02"),
    ];
    for kind in [ADVERTISE, REPLY] {
        let good = message(kind, &all);
        for length in 0..good.len() {
            let _ = CLIENT.read(&good[..length], TRANSACTION, kind == ADVERTISE);
        }
        for (i, byte) in (0..good.len()).flat_map(|i| (0..=255).map(move |byte| (i, byte))) {
            let mut bad = good.clone();
            bad[i] = byte;
            let _ = CLIENT.read(&bad, TRANSACTION, kind == ADVERTISE);
        }
    }
}
