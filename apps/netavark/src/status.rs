//! What Podman is told of a container's network.

use cni::AddResult;
use podman_network::Ipam;
use serde_json::{Map, Value, json};

use crate::attachment::Attachment;
use crate::container::Container;

/// The status block of one network.
pub(crate) fn block(container: &Container, attachment: &Attachment, result: &AddResult) -> Value {
    let ifname = attachment.names.ifname.as_str();
    let inside = result.interfaces.iter().find(|interface| interface.name == ifname && !interface.sandbox.is_empty());
    let subnets: Vec<_> = result
        .ips_of(ifname)
        .map(|ip| {
            // A gateway that the plugin made up is none of the network's.
            let gateway = ip.gateway.filter(|gateway| is_known(attachment, gateway));
            json!({"ipnet": ip.address.to_string(), "gateway": gateway})
        })
        .collect();
    let interface = json!({"mac_address": inside.map_or("", |interface| &interface.mac), "subnets": subnets});
    let interfaces: Map<_, _> = [(ifname.to_owned(), interface)].into_iter().collect();
    let (servers, search) = resolver(container, attachment, result);
    json!({"dns_search_domains": search, "dns_server_ips": servers, "interfaces": interfaces})
}

fn is_known(attachment: &Attachment, gateway: &std::net::IpAddr) -> bool {
    let is_dynamic = attachment.network.ipam().is_ok_and(|ipam| ipam == Ipam::Dhcp);
    is_dynamic || attachment.network.gateways().any(|known| known == *gateway)
}

/// Name servers and search domains. Where there are names, the container's own servers are asked by the name server.
fn resolver(container: &Container, attachment: &Attachment, result: &AddResult) -> (Vec<String>, Vec<String>) {
    let mut search = result.dns.search.clone();
    if search.is_empty() && !result.dns.domain.is_empty() {
        search.push(result.dns.domain.clone());
    }
    let has_names = attachment.list.list.plugins.iter().any(|plugin| plugin.kind.as_str() == "dnsname");
    if has_names || container.dns_servers.is_empty() {
        return (result.dns.nameservers.clone(), search);
    }
    (container.dns_servers.iter().map(ToString::to_string).collect(), search)
}
