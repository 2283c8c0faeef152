//! The numbers of linux/netfilter/nf_tables.h that we use, under the kernel's names (less their prefix).

pub(crate) mod operation {
    pub(crate) const NEW_TABLE: u8 = 0;
    pub(crate) const GET_TABLE: u8 = 1;
    pub(crate) const DEL_TABLE: u8 = 2;
    pub(crate) const NEW_CHAIN: u8 = 3;
    pub(crate) const GET_CHAIN: u8 = 4;
    pub(crate) const DEL_CHAIN: u8 = 5;
    pub(crate) const NEW_RULE: u8 = 6;
    pub(crate) const GET_RULE: u8 = 7;
    pub(crate) const DEL_RULE: u8 = 8;
    pub(crate) const NEW_SET: u8 = 9;
    pub(crate) const GET_SET: u8 = 10;
    pub(crate) const NEW_ELEMENT: u8 = 12;
    pub(crate) const GET_ELEMENT: u8 = 13;
    pub(crate) const DEL_ELEMENT: u8 = 14;
    pub(crate) const GET_GENERATION: u8 = 16;

    /// Those that leave the kernel something to free.
    pub(crate) const REMOVALS: [u8; 4] = [DEL_TABLE, DEL_CHAIN, DEL_RULE, DEL_ELEMENT];
}

/// Multicast groups (`NFNLGRP_*`, linux/netfilter/nfnetlink.h).
pub(crate) mod group {
    pub(crate) const NFTABLES: u32 = 7;
}

pub(crate) mod table {
    pub(crate) const NAME: u16 = 1;
    pub(crate) const FLAGS: u16 = 2;
    pub(crate) const USERDATA: u16 = 6;

    pub(crate) const FLAG_DORMANT: u32 = 1;
    pub(crate) const FLAG_OWNER: u32 = 2;
}

pub(crate) mod chain {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const NAME: u16 = 3;
    pub(crate) const HOOK: u16 = 4;
    pub(crate) const POLICY: u16 = 5;
    pub(crate) const USE: u16 = 6;
    pub(crate) const TYPE: u16 = 7;
}

pub(crate) mod hook {
    pub(crate) const NUMBER: u16 = 1;
    pub(crate) const PRIORITY: u16 = 2;

    /// Hook numbers: the same for inet and bridge (`NF_INET_*`, `NF_BR_*`).
    pub(crate) const PREROUTING: u32 = 0;
    pub(crate) const FORWARD: u32 = 2;
    pub(crate) const OUTPUT: u32 = 3;
    pub(crate) const POSTROUTING: u32 = 4;
}

pub(crate) mod rule {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const CHAIN: u16 = 2;
    pub(crate) const HANDLE: u16 = 3;
    pub(crate) const EXPRESSIONS: u16 = 4;
    pub(crate) const USERDATA: u16 = 7;
}

pub(crate) mod list {
    pub(crate) const ELEMENT: u16 = 1;
}

pub(crate) mod set {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const NAME: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;
    pub(crate) const KEY_TYPE: u16 = 4;
    pub(crate) const KEY_LENGTH: u16 = 5;
    pub(crate) const DATA_TYPE: u16 = 6;
    pub(crate) const DATA_LENGTH: u16 = 7;
    pub(crate) const DESCRIPTION: u16 = 9;
    pub(crate) const ID: u16 = 10;
    pub(crate) const USERDATA: u16 = 13;

    pub(crate) const DESCRIPTION_CONCAT: u16 = 2;
    pub(crate) const FIELD_LENGTH: u16 = 1;

    pub(crate) const FLAG_INTERVAL: u32 = 0x4;
    pub(crate) const FLAG_MAP: u32 = 0x8;
    pub(crate) const FLAG_CONCAT: u32 = 0x80;
    pub(crate) const TYPE_VERDICT: u32 = 0xffff_ff00;
}

pub(crate) mod elements {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const SET: u16 = 2;
    pub(crate) const LIST: u16 = 3;
}

pub(crate) mod element {
    pub(crate) const KEY: u16 = 1;
    pub(crate) const DATA: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;
    pub(crate) const USERDATA: u16 = 6;
    pub(crate) const KEY_END: u16 = 10;

    pub(crate) const FLAG_INTERVAL_END: u32 = 1;
}

pub(crate) mod data {
    pub(crate) const VALUE: u16 = 1;
    pub(crate) const VERDICT: u16 = 2;
}

pub(crate) mod verdict {
    pub(crate) const CODE: u16 = 1;
    pub(crate) const CHAIN: u16 = 2;

    pub(crate) const DROP: i32 = 0;
    pub(crate) const JUMP: i32 = -3;
    pub(crate) const GOTO: i32 = -4;
    pub(crate) const RETURN: i32 = -5;
}

pub(crate) mod expression {
    pub(crate) const NAME: u16 = 1;
    pub(crate) const DATA: u16 = 2;
}

pub(crate) mod immediate {
    pub(crate) const DREG: u16 = 1;
    pub(crate) const DATA: u16 = 2;
}

pub(crate) mod cmp {
    pub(crate) const SREG: u16 = 1;
    pub(crate) const OPERATOR: u16 = 2;
    pub(crate) const DATA: u16 = 3;

    pub(crate) const EQUAL: u32 = 0;
    pub(crate) const NOT_EQUAL: u32 = 1;
}

pub(crate) mod bitwise {
    pub(crate) const SREG: u16 = 1;
    pub(crate) const DREG: u16 = 2;
    pub(crate) const LENGTH: u16 = 3;
    pub(crate) const MASK: u16 = 4;
    pub(crate) const XOR: u16 = 5;
}

pub(crate) mod lookup {
    pub(crate) const SET: u16 = 1;
    pub(crate) const SREG: u16 = 2;
    pub(crate) const DREG: u16 = 3;
    pub(crate) const FLAGS: u16 = 5;

    pub(crate) const INVERTED: u32 = 1;
}

pub(crate) mod payload {
    pub(crate) const DREG: u16 = 1;
    pub(crate) const BASE: u16 = 2;
    pub(crate) const OFFSET: u16 = 3;
    pub(crate) const LENGTH: u16 = 4;
    pub(crate) const SREG: u16 = 5;
    pub(crate) const CSUM_TYPE: u16 = 6;
    pub(crate) const CSUM_OFFSET: u16 = 7;

    pub(crate) const CSUM_INET: u32 = 1;

    pub(crate) const LINK: u32 = 0;
    pub(crate) const NETWORK: u32 = 1;
    pub(crate) const TRANSPORT: u32 = 2;
}

pub(crate) mod meta {
    pub(crate) const DREG: u16 = 1;
    pub(crate) const KEY: u16 = 2;
    pub(crate) const SREG: u16 = 3;

    pub(crate) const MARK: u32 = 3;
    pub(crate) const IIFNAME: u32 = 6;
    pub(crate) const OIFNAME: u32 = 7;
    pub(crate) const NFPROTO: u32 = 15;
    pub(crate) const L4PROTO: u32 = 16;
}

pub(crate) mod ct {
    pub(crate) const DREG: u16 = 1;
    pub(crate) const KEY: u16 = 2;

    pub(crate) const DIRECTION: u16 = 3;
    pub(crate) const SREG: u16 = 4;

    pub(crate) const STATE: u32 = 0;
    pub(crate) const WHICH_DIRECTION: u32 = 1;
    pub(crate) const STATUS: u32 = 2;
    pub(crate) const MARK: u32 = 3;
    pub(crate) const DESTINATION_IPV4: u32 = 20;
    pub(crate) const DESTINATION_IPV6: u32 = 22;

    /// `IP_CT_DIR_ORIGINAL`, `IP_CT_DIR_REPLY`.
    pub(crate) const ORIGINAL: u8 = 0;
    pub(crate) const REPLY: u8 = 1;

    /// `NF_CT_STATE_BIT(IP_CT_ESTABLISHED)`, `NF_CT_STATE_BIT(IP_CT_RELATED)`, `IPS_DST_NAT`.
    pub(crate) const STATE_ESTABLISHED: u32 = 2;
    pub(crate) const STATE_RELATED: u32 = 4;
    pub(crate) const STATUS_DNAT: u32 = 0x20;
}

pub(crate) mod hash {
    pub(crate) const SREG: u16 = 1;
    pub(crate) const DREG: u16 = 2;
    pub(crate) const LENGTH: u16 = 3;
    pub(crate) const MODULUS: u16 = 4;
    pub(crate) const SEED: u16 = 5;
}

pub(crate) mod fib {
    pub(crate) const DREG: u16 = 1;
    pub(crate) const RESULT: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;

    pub(crate) const RESULT_OIF: u32 = 1;
    pub(crate) const RESULT_ADDRTYPE: u32 = 3;
    pub(crate) const FLAG_SADDR: u32 = 1;
    pub(crate) const FLAG_DADDR: u32 = 2;
    pub(crate) const FLAG_IIF: u32 = 8;
    /// `RTN_LOCAL`.
    pub(crate) const LOCAL: u32 = 2;
}

pub(crate) mod nat {
    pub(crate) const TYPE: u16 = 1;
    pub(crate) const FAMILY: u16 = 2;
    pub(crate) const REG_ADDR_MIN: u16 = 3;
    pub(crate) const REG_PROTO_MIN: u16 = 5;

    pub(crate) const SNAT: u32 = 0;
    pub(crate) const DNAT: u32 = 1;
}

pub(crate) mod target {
    pub(crate) const NAME: u16 = 1;
}

pub(crate) mod generation {
    pub(crate) const ID: u16 = 1;
}

/// Userdata that nft reads as a comment: `[kind, length, text, NUL]`.
pub(crate) mod comment {
    pub(crate) const KIND: u8 = 0;
    /// A set's userdata numbers its comment differently.
    pub(crate) const KIND_IN_SET: u8 = 7;
    /// The kind and length of `NFTNL_UDATA_SET_KEYBYTEORDER`.
    pub(crate) const KEYS_IN_HOST_ORDER: [u8; 2] = [0, 4];
    /// The kernel refuses 255 bytes of userdata and loses 256 without a word: it counts them, and one byte of
    /// its own, in eight bits (`nft_add_set_elem`).
    pub(crate) const MAX_USERDATA: usize = 254;
    /// Less kind, length and NUL.
    pub(crate) const MAX_LENGTH: usize = MAX_USERDATA - 3;
    /// Not nft's, which passes over kinds that it does not know: the name of a link.
    pub(crate) const LINK: u8 = 0x6c;
}
