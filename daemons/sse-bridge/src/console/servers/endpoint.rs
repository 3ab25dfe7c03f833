//! What a server can be asked for, with the options that nats-server knows (`server/monitor.go`, the
//! `…Options` of each).

/// What a server can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::console) enum Endpoint {
    Varz,
    Connz,
    Routez,
    Subsz,
    Gatewayz,
    Leafz,
    Jsz,
    Accountz,
    Healthz,
    Statsz,
    Idz,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::console) enum Takes {
    /// `true` or `false`.
    Flag,
    /// A whole number from 0.
    Number,
    /// A text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words, which NATS counts from 0.
    Counted(&'static [&'static str]),
}

const SORT: Takes = Takes::Word(&[
    "cid",
    "start",
    "subs",
    "pending",
    "msgs_to",
    "msgs_from",
    "bytes_to",
    "bytes_from",
    "last",
    "idle",
    "uptime",
    "stop",
    "reason",
    "rtt",
]);

impl Endpoint {
    /// All of them.
    pub(in crate::console) const ALL: [Self; 11] = [
        Self::Varz,
        Self::Connz,
        Self::Routez,
        Self::Subsz,
        Self::Gatewayz,
        Self::Leafz,
        Self::Jsz,
        Self::Accountz,
        Self::Healthz,
        Self::Statsz,
        Self::Idz,
    ];

    /// As in the console's paths.
    pub(in crate::console) const fn name(self) -> &'static str {
        match self {
            Self::Varz => "varz",
            Self::Connz => "connz",
            Self::Routez => "routez",
            Self::Subsz => "subsz",
            Self::Gatewayz => "gatewayz",
            Self::Leafz => "leafz",
            Self::Jsz => "jsz",
            Self::Accountz => "accountz",
            Self::Healthz => "healthz",
            Self::Statsz => "statsz",
            Self::Idz => "idz",
        }
    }

    /// As in NATS's subjects.
    pub(in crate::console) const fn token(self) -> &'static str {
        match self {
            Self::Varz => "VARZ",
            Self::Connz => "CONNZ",
            Self::Routez => "ROUTEZ",
            Self::Subsz => "SUBSZ",
            Self::Gatewayz => "GATEWAYZ",
            Self::Leafz => "LEAFZ",
            Self::Jsz => "JSZ",
            Self::Accountz => "ACCOUNTZ",
            Self::Healthz => "HEALTHZ",
            Self::Statsz => "STATSZ",
            Self::Idz => "IDZ",
        }
    }

    /// The options that it takes, by NATS's names.
    pub(in crate::console) const fn options(self) -> &'static [(&'static str, Takes)] {
        use Takes::{Counted, Flag, Number, Text};
        match self {
            Self::Varz | Self::Statsz | Self::Idz => &[],
            Self::Connz => &[
                ("sort", SORT),
                ("auth", Flag),
                ("subscriptions", Flag),
                ("subscriptions_detail", Flag),
                ("offset", Number),
                ("limit", Number),
                ("cid", Number),
                ("mqtt_client", Text),
                ("state", Counted(&["open", "closed", "all"])),
                ("user", Text),
                ("acc", Text),
                ("filter_subject", Text),
            ],
            Self::Routez => &[("subscriptions", Flag), ("subscriptions_detail", Flag)],
            Self::Subsz => &[
                ("offset", Number),
                ("limit", Number),
                ("subscriptions", Flag),
                ("account", Text),
                ("test", Text),
            ],
            Self::Gatewayz => &[
                ("name", Text),
                ("accounts", Flag),
                ("account_name", Text),
                ("subscriptions", Flag),
                ("subscriptions_detail", Flag),
            ],
            Self::Leafz => &[("subscriptions", Flag), ("account", Text)],
            Self::Jsz => &[
                ("account", Text),
                ("accounts", Flag),
                ("streams", Flag),
                ("consumer", Flag),
                ("direct_consumer", Flag),
                ("config", Flag),
                ("leader_only", Flag),
                ("offset", Number),
                ("limit", Number),
                ("raft", Flag),
                ("stream_leader_only", Flag),
            ],
            Self::Accountz => &[("account", Text)],
            Self::Healthz => &[
                ("js-enabled-only", Flag),
                ("js-server-only", Flag),
                ("js-meta-only", Flag),
                ("account", Text),
                ("stream", Text),
                ("consumer", Text),
                ("details", Flag),
            ],
        }
    }
}
