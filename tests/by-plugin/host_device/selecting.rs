//! Every way to name a device, and those that are none.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, reference_differs};

use super::{addresses, assert_comes_back, call, config, network, scene};

/// A PCI device and what is in its folder. Sysfs shows those of the machine to every host, so the test brings its own.
fn fake_pci(host: &Host, address: &str, folders: &str, driver: &str) {
    host.shell(&format!(
        "mountpoint -q /sys/bus/pci || mount -t tmpfs fake /sys/bus/pci
         mkdir -p /sys/bus/pci/drivers/{driver} /sys/bus/pci/devices/{address}
         cd /sys/bus/pci/devices/{address}
         ln -s ../../drivers/{driver} driver
         {folders}"
    ));
}

fn without_device(keys: &Value) -> Value {
    let mut config = config(keys);
    if keys.get("device").is_none() {
        config.as_object_mut().unwrap().remove("device");
    }
    config
}

/// ADD, a look at the result, DEL, and the device is back.
fn connects(host: &Host, c1: &Container, keys: &Value) -> Value {
    let config = without_device(keys);
    assert_comes_back(host, || {
        let reply = call(host, "ADD", c1, &config).run().ok();
        assert_eq!(reply["interfaces"][0]["mac"], "02:00:00:00:aa:01", "{keys}: {reply}");
        assert!(c1.links().contains(&"eth0".to_owned()));
        call(host, "DEL", c1, &config).run().ok();
        reply
    })
}

#[test]
fn by_hardware_address_in_any_form() {
    let (host, c1) = scene();
    for text in ["02:00:00:00:aa:01", "02:00:00:00:AA:01", "02-00-00-00-aa-01", "0200.0000.aa01"] {
        connects(&host, &c1, &json!({"hwaddr": text}));
    }
}

#[test]
fn by_an_alternative_name() {
    let (host, c1) = scene();
    for name in ["enp7s0f1", "enp7s0f1-by-a-name-that-is-longer-than-names-are"] {
        if name.len() > 15 && reference_differs("its release of 2022 does not find it") {
            return;
        }
        host.shell(&format!("ip link property add dev nic0 altname {name}"));
        connects(&host, &c1, &json!({"device": name}));
    }
    assert!(host.links().contains(&"nic0".to_owned()));
}

#[test]
fn by_a_path_in_sysfs() {
    let (host, c1) = scene();
    host.shell("mount -t tmpfs fake /sys/devices; mkdir -p /sys/devices/pci0000:00/0000:00:1f.6/net/nic0");
    let reply = connects(&host, &c1, &json!({"kernelpath": "/sys/devices/pci0000:00/0000:00:1f.6"}));
    assert!(reference_differs("it does not report it") || reply["interfaces"][0]["pciID"] == "0000:00:1f.6", "{reply}");
}

#[test]
fn by_pci_address() {
    let (host, c1) = scene();
    fake_pci(&host, "0000:af:00.1", "mkdir -p net/nic0", "ixgbe");
    let reply = connects(&host, &c1, &json!({"pciBusID": "0000:af:00.1"}));
    if !reference_differs("it does not report it, and knows small letters only") {
        assert_eq!(reply["interfaces"][0]["pciID"], "0000:af:00.1");
        connects(&host, &c1, &json!({"pciBusID": "0000:AF:00.1"}));
    }
}

#[test]
fn by_the_pci_address_of_a_virtio_device() {
    let (host, c1) = scene();
    fake_pci(&host, "0000:00:03.0", "mkdir -p virtio2/net/nic0 power", "virtio-pci");
    connects(&host, &c1, &json!({"pciBusID": "0000:00:03.0"}));
}

#[test]
fn the_first_interface_of_a_device_with_several_is_taken() {
    let (host, c1) = scene();
    fake_pci(&host, "0000:00:03.0", "mkdir -p net/wire net/nic0", "mlx4_core");
    connects(&host, &c1, &json!({"pciBusID": "0000:00:03.0"}));
}

#[test]
fn what_a_device_plugin_assigned_goes_before_the_configuration() {
    let (host, c1) = scene();
    fake_pci(&host, "0000:af:00.1", "mkdir -p net/nic0", "ixgbe");
    connects(&host, &c1, &json!({"runtimeConfig": {"deviceID": "0000:af:00.1"}}));
    if reference_differs("this version prefers the configuration, and has no auxiliary bus") {
        return;
    }
    host.shell(
        "mount -t tmpfs fake /sys/bus
         mkdir -p /sys/bus/auxiliary/devices/mlx5_core.sf.4/net/nic0",
    );
    connects(&host, &c1, &json!({"device": "wire", "runtimeConfig": {"deviceID": "mlx5_core.sf.4"}}));
}

/// A program drives the device itself: there is no interface to move, but addresses to give.
#[test]
fn a_device_of_a_userspace_driver_stays_where_it_is() {
    for driver in ["vfio-pci", "uio_pci_generic", "igb_uio"] {
        for keys in [json!({}), addresses()] {
            let (host, c1) = scene();
            fake_pci(&host, "0000:af:00.2", "", driver);
            let mut config = without_device(&keys);
            config["pciBusID"] = json!("0000:af:00.2");
            let has_addresses = keys.get("ipam").is_some();
            if has_addresses && reference_differs("this version gives it no addresses") {
                continue;
            }
            host.assert_leaves_nothing(|| {
                let reply = call(&host, "ADD", &c1, &config).run().ok();
                if !reference_differs("this version lists none") {
                    assert_eq!(reply["interfaces"], json!([{"name": "eth0", "sandbox": c1.netns}]));
                }
                assert_eq!(reply.get("ips").is_some(), has_addresses, "{reply}");
                for ip in reply["ips"].as_array().into_iter().flatten() {
                    assert_eq!(ip["interface"], 0, "{reply}");
                }
                assert_eq!(c1.links(), ["lo"]);
                config["prevResult"] = reply;
                if !reference_differs("this version looks for an interface") {
                    call(&host, "CHECK", &c1, &config).run().ok();
                }
                call(&host, "DEL", &c1, &config).run().ok();
            });
        }
    }
}

/// Nor is it looked for among what may be thousands of links.
#[test]
fn del_of_a_device_of_a_userspace_driver_asks_nobody() {
    let (host, c1) = scene();
    fake_pci(&host, "0000:af:00.2", "", "vfio-pci");
    let del = call(&host, "DEL", &c1, &without_device(&json!({"pciBusID": "0000:af:00.2"})));
    del.run_under(&["strace", "-f", "-qqq", "-e", "trace=socket", "-o", "/run/trace"]).ok();
    assert_eq!(host.read("/run/trace").unwrap(), "");
}

#[test]
fn what_is_no_device_is_refused_and_changes_nothing() {
    let (host, c1) = scene();
    fake_pci(&host, "0000:af:00.1", "mkdir -p net", "ixgbe");
    let cases = [
        (json!({}), 7, "the network names no device"),
        (json!({"device": "", "hwaddr": "", "kernelpath": "", "pciBusID": ""}), 7, "the network names no device"),
        (json!({"device": "nic0", "hwaddr": "02:00:00:00:aa:01"}), 7, "\"device\" and \"hwaddr\""),
        (json!({"device": "lo"}), 7, "lo"),
        (json!({"device": "../nic0"}), 7, "../nic0"),
        (json!({"device": "nic%d"}), 7, "nic%d"),
        (json!({"hwaddr": "02:00:00:00:aa"}), 7, "02:00:00:00:aa"),
        (json!({"hwaddr": "00:00:00:00:00:00"}), 7, "00:00:00:00:00:00"),
        (json!({"kernelpath": "/sys/class/net/nic0"}), 7, "/sys/devices"),
        (json!({"kernelpath": "/sys/devices/../class/net/nic0"}), 7, "/sys/devices"),
        (json!({"kernelpath": "devices/pci0000:00"}), 7, "/sys/devices"),
        (json!({"pciBusID": "../../../class/net"}), 7, "0000:00:1f.6"),
        (json!({"pciBusID": "af:00.1"}), 7, "0000:00:1f.6"),
        (json!({"runtimeConfig": {"deviceID": "../0000:af:00.1"}}), 7, "mlx5_core.sf.4"),
        (json!({"device": "nic9"}), 999, "nic9 is not on this host"),
        (json!({"hwaddr": "02:00:00:00:aa:99"}), 999, "02:00:00:00:aa:99 is not on this host"),
        (json!({"kernelpath": "/sys/devices/none"}), 999, "/sys/devices/none"),
        (json!({"pciBusID": "0000:af:00.7"}), 999, "there is no device"),
        (json!({"pciBusID": "0000:af:00.1"}), 999, "has no interface"),
        (json!({"runtimeConfig": {"deviceID": "0000:af:00.7"}}), 999, "0000:af:00.7 is neither on the PCI nor"),
    ];
    for (keys, code, words) in cases {
        let add = call(&host, "ADD", &c1, &without_device(&keys));
        let error = host.assert_leaves_nothing(|| add.run().error());
        assert_eq!(error.code, code, "{keys}: {error:?}");
        assert!(format!("{} {}", error.msg, error.details).contains(words), "{keys}: {error:?}");
        // What ADD refuses, DEL has nothing of.
        host.assert_leaves_nothing(|| call(&host, "DEL", &c1, &without_device(&keys)).run().ok());
    }
    network(&host, &json!({})).add(&c1, "eth0").ok();
}

/// What sysfs says decides whose the interface in the container is: as long as it cannot be read, nothing is taken for a
/// device that is gone.
#[test]
fn del_waits_for_a_sysfs_that_can_be_read() {
    let (host, c1) = scene();
    c1.shell("ip link add eth0 type veth peer name other; ip link set eth0 alias nic7");
    let del =
        || call(&host, "DEL", &c1, &without_device(&json!({"runtimeConfig": {"deviceID": "0000:af:00.1"}}))).run();
    host.shell("mount -t tmpfs fake /sys/bus; ln -s pci /sys/bus/pci");
    let error = del().error();
    assert!(error.msg.contains("read /sys/bus/pci/devices/0000:af:00.1"), "{error:?}");
    assert!(c1.links().contains(&"eth0".to_owned()));
    host.shell("rm /sys/bus/pci");
    del().ok();
    assert!(
        host.links().contains(&"nic7".to_owned()),
        "the device is not on its bus, and its alias says what it was called"
    );
}
