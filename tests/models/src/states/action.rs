//! What may happen.

/// One step of a world. Devices are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// A device's user writes something; it is durable when this is over.
    Write(u8),
    /// A device's process begins a conversation, up to its first call.
    Begin(u8),
    /// It begins one and meets a power cut after so many commits.
    BeginCut(u8, u32),
    /// A process whose conversation failed begins another.
    Again(u8),
    /// The call is answered, and the device goes on up to its next call.
    Answer(u8),
    /// The same, with a power cut at the device after so many commits.
    AnswerCut(u8, u32),
    /// The call is done and its answer lost.
    LoseAnswer(u8),
    /// The call is lost.
    LoseCall(u8),
    /// The call comes late: its author gives it up, and it arrives at another time.
    Delay(u8),
    /// The late call arrives.
    Arrive,
    /// A device's process ends.
    Crash(u8),
    /// A copy of the server is taken.
    Backup,
    /// The server is put back to the copy.
    PutBack,
    /// The server begins with nothing.
    Empty,
    /// A copy of a device is taken.
    Image(u8),
    /// A device is put back to the copy: its own earlier one, or it goes on as a second one of another.
    Restore(u8),
    /// The log is restored to its first op.
    RestoreLog,
    /// What came before the newest restore is dropped.
    Prune,
}
