use std::net::IpAddr;

use netlink::Mac;
use serde_json::json;

use crate::{in_new_netns, ip, pair, socket};

#[test]
fn a_neighbour_is_listed_and_forgotten() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, b) = pair(&mut socket);
        for text in ["10.1.0.9", "2001:db8::9"] {
            ip(&format!("neigh add {text} lladdr 02:00:5e:00:53:01 dev a nud reachable"));
            ip(&format!("neigh add {text} lladdr 02:00:5e:00:53:02 dev b nud stale"));
            let address: IpAddr = text.parse().expect("an address");
            let listed = socket.neighbours(a).expect("listed");
            let found = listed.iter().find(|neighbour| neighbour.address == address).expect("found");
            assert_eq!((found.link, found.mac, found.state), (a, Some(Mac([2, 0, 0x5e, 0, 0x53, 1])), 0x02));
            socket.delete_neighbour(a, address).expect("deleted");
            assert_eq!(ip(&format!("neigh show to {text} dev a")), json!([]));
            assert_ne!(ip(&format!("neigh show to {text} dev b")), json!([]), "the other link still knows it");
            let error = socket.delete_neighbour(a, address).expect_err("gone");
            assert!(error.is_not_found(), "{error:?}");
        }
        assert!(socket.neighbours(b).expect("listed").iter().all(|neighbour| neighbour.link == b));
        assert_eq!(socket.neighbours(4711).expect("a missing link knows nobody"), []);
    });
}
