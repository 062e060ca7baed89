//! What can go wrong: mishaps, drawn for each message and each operation of a disk, and events, which a plan puts in time.

/// A list of names, their texts, and the way back.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$of])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in tables and kept plans.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The one of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named! {
    /// What may happen to any message, or any operation of a disk.
    Mishap {
        /// A call does not arrive; its caller hears nothing.
        RequestLost = "request-lost",
        /// A call is done, and its answer does not come back.
        AnswerLost = "answer-lost",
        /// A call arrives a second time, later.
        Duplicated = "duplicated",
        /// A message takes seconds, so others overtake it.
        Delayed = "delayed",
        /// A call arrives after its caller gave up, up to ten times its patience later.
        Late = "late",
        /// A page ends early.
        PageCut = "page-cut",
        /// A wake does not arrive.
        WakeLost = "wake-lost",
        /// A wake arrives late.
        WakeLate = "wake-late",
        /// The server says that it is busy.
        Busy = "busy",
        /// A device's disk is full for one operation.
        DiskFull = "disk-full",
        /// A device's disk fails one operation.
        DiskError = "disk-error",
        /// A device's store cannot say whether it committed.
        DiskUnknown = "disk-unknown",
        /// The server's store is full for one operation.
        StoreFull = "store-full",
        /// The server's store is away for one operation.
        StoreAway = "store-away",
        /// The server's store cannot say whether it committed.
        StoreUnknown = "store-unknown",
        /// A disk is slow.
        DiskSlow = "disk-slow",
    }
}

named! {
    /// What a plan puts in time.
    Kind {
        /// The application does something on a device.
        Act = "act",
        /// A device's process is killed, and started again.
        Kill = "kill",
        /// The same, and once more while it starts.
        KillTwice = "kill-twice",
        /// A device has no network.
        Offline = "offline",
        /// A device's calls do not arrive.
        Mute = "mute",
        /// Answers to a device do not arrive.
        Deaf = "deaf",
        /// A device's clock is set.
        Clock = "clock",
        /// A device's disk is copied, as a backup.
        BackUp = "back-up",
        /// A device is set back to its backup: its owner's doing, or that of a disk that lied about syncing.
        PutBack = "put-back",
        /// A device's disk is copied to another device, and both go on.
        Clone = "clone",
        /// A device's disk is lost, and the application installed anew.
        Wipe = "wipe",
        /// A device may only read, or nothing at all.
        Rights = "rights",
        /// A device gets a newer version of the application, whose ops older ones do not understand.
        Upgrade = "upgrade",
        /// A device gives the log a new key.
        Rotate = "rotate-keys",
        /// A device gives the server a snapshot.
        PutSnapshot = "put-snapshot",
        /// A server's process is killed, and started again.
        KillServer = "kill-server",
        /// The servers' clocks are set.
        ServerClock = "server-clock",
        /// The server's store is copied, as a backup.
        BackUpServer = "back-up-server",
        /// The server's store is set back to its backup.
        PutBackServer = "put-back-server",
        /// The server's store is lost.
        EmptyServer = "empty-server",
        /// The server drops old history.
        Prune = "prune",
    }
}

impl Kind {
    /// Whether it is something that goes wrong, not something that is done.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Act | Self::BackUp | Self::BackUpServer | Self::PutSnapshot)
    }
}
