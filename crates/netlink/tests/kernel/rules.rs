use std::net::IpAddr;

use netlink::{Family, Rule};

use crate::{in_new_netns, ip, socket};

fn from(address: &str, table: u32) -> Rule {
    Rule::from_address(address.parse::<IpAddr>().expect("an address"), table)
}

#[test]
fn a_rule_is_added_listed_and_deleted() {
    in_new_netns(|| {
        let mut socket = socket();
        for (address, family, table) in [("10.1.0.2", Family::V4, 100), ("fd00::2", Family::V6, 4711)] {
            let rule = from(address, table);
            assert_eq!(socket.rules(family).expect("listed"), [], "the kernel's own go by no source");
            socket.batch().add_rule(&rule).send().expect("added");
            let listed = socket.rules(family).expect("listed");
            assert_eq!(listed, [Rule { priority: listed[0].priority, ..rule }]);
            assert!(socket.batch().add_rule(&listed[0]).send().expect_err("twice").is_exists());
            let shown = ip(&format!("{} rule show", if family == Family::V4 { "-4" } else { "-6" }));
            assert!(shown.to_string().contains(&format!("\"src\":\"{address}\"")), "{shown}");
            assert!(shown.to_string().contains(&format!("\"table\":\"{table}\"")), "{shown}");
            socket.batch().delete_rule(&rule).send().expect("deleted");
            let gone = socket.batch().delete_rule(&rule).send().expect_err("none is left");
            assert!(gone.is_not_found(), "{gone}");
        }
    });
}

#[test]
fn a_rule_for_a_subnet_is_not_one_for_its_address() {
    in_new_netns(|| {
        let mut socket = socket();
        let subnet = Rule { source: "10.1.0.0/24".parse().expect("a subnet"), table: 7, priority: Some(50) };
        socket.batch().add_rule(&subnet).send().expect("added");
        assert!(socket.batch().delete_rule(&from("10.1.0.0", 7)).send().expect_err("another rule").is_not_found());
        assert_eq!(socket.rules(Family::V4).expect("listed"), [subnet]);
    });
}
