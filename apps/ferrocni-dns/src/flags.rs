//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// The DNS server of containers' names. It answers in the network namespace of each container that has a record, on
/// 127.0.0.11, and asks the host's servers for what it does not know.
#[derive(Debug, Clone, Parser)]
#[command(name = "ferrocni-dns", version)]
pub(crate) struct Flags {
    /// The Unix socket to listen on, unless systemd passes one
    #[arg(long, value_name = "PATH", default_value = names::SOCKET)]
    pub(crate) socket: PathBuf,
    /// The folder with the records of names
    #[arg(long, value_name = "FOLDER", default_value = names::FOLDER)]
    pub(crate) records: PathBuf,
    /// The file that names the host's DNS servers
    #[arg(long, value_name = "PATH", default_value = "/etc/resolv.conf")]
    pub(crate) resolv_conf: PathBuf,
    /// End after a minute without a record
    #[arg(long)]
    pub(crate) exit_when_idle: bool,
}
