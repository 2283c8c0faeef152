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
    /// The folder with the names of containers on other hosts
    #[arg(long, value_name = "FOLDER", default_value = names::ELSEWHERE)]
    pub(crate) elsewhere: PathBuf,
    /// The file that names the host's DNS servers
    #[arg(long, value_name = "PATH", default_value = "/etc/resolv.conf")]
    pub(crate) resolv_conf: PathBuf,
    /// Answer the host's own programs too, on port 53 of 127.0.0.11, for names of the form NAME.NETWORK
    #[arg(long)]
    pub(crate) host: bool,
    /// End after so many seconds without a record (60 unless a number is given)
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60", conflicts_with = "host")]
    pub(crate) exit_when_idle: Option<u64>,
}
