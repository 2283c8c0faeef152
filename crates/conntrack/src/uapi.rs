//! The numbers of linux/netfilter/nfnetlink_conntrack.h that we use, under the kernel's names.

pub(crate) mod operation {
    pub(crate) const GET: u8 = 1;
    pub(crate) const DELETE: u8 = 2;
}

pub(crate) mod attribute {
    pub(crate) const TUPLE_ORIG: u16 = 1;
    pub(crate) const TUPLE_REPLY: u16 = 2;
    pub(crate) const ID: u16 = 12;
    pub(crate) const ZONE: u16 = 18;
    pub(crate) const FILTER: u16 = 25;
}

/// A tuple; it also has a zone (3), if that holds in this direction only.
pub(crate) mod tuple {
    pub(crate) const IP: u16 = 1;
    pub(crate) const PROTO: u16 = 2;
}

pub(crate) mod ip {
    pub(crate) const V4_SRC: u16 = 1;
    pub(crate) const V4_DST: u16 = 2;
    pub(crate) const V6_SRC: u16 = 3;
    pub(crate) const V6_DST: u16 = 4;
}

pub(crate) mod proto {
    pub(crate) const NUMBER: u16 = 1;
    pub(crate) const DST_PORT: u16 = 3;
}

pub(crate) mod filter {
    pub(crate) const ORIG_FLAGS: u16 = 1;
    pub(crate) const REPLY_FLAGS: u16 = 2;

    /// Which fields of a tuple count (`CTA_FILTER_F_*`, net/netfilter/nf_internals.h), in host byte order.
    pub(crate) const IP_SRC: u32 = 1;
    pub(crate) const IP_DST: u32 = 1 << 1;
    pub(crate) const PROTO_NUMBER: u32 = 1 << 3;
    pub(crate) const PROTO_DST_PORT: u32 = 1 << 5;
}
