//! The rule that the plugin of containers/dnsname makes, and never removes, so that containers reach the server on their bridge.

use crate::change::change;
use crate::presence::loaded;
use crate::{Chain, Family, Interface, Result, Rule, Table};

/// Removes that rule for a bridge, from each iptables that has it; nothing is fine.
///
/// # Errors
/// Those of the program.
pub fn remove(bridge: &Interface) -> Result<()> {
    let input = Chain::known("INPUT");
    let rule = Rule::new().input(bridge).words("-p udp -m udp --dport 53 -j ACCEPT");
    for variant in loaded(Family::V4, Table::Filter)? {
        let removed = change(Family::V4, variant, Table::Filter, |saved, restore| {
            if saved.contains(&input, &rule) {
                restore.delete(&input, &rule);
            }
        });
        match removed {
            // The table was made with nft, on a host that has no iptables.
            Err(error) if error.is_not_installed() => {}
            outcome => outcome?,
        }
    }
    Ok(())
}
