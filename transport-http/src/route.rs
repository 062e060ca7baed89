//! The one table of routes: the server serves exactly these, the document describes exactly these, the client calls
//! exactly these.

/// What a request is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the methods this table uses")]
pub enum Verb {
    /// Read; changes nothing.
    Get,
    /// Make or replace; repeating changes nothing more.
    Put,
    /// Do.
    Post,
    /// Remove.
    Delete,
    /// Read what is said about it, and not itself.
    Head,
    /// Change a part of it.
    Patch,
}

impl Verb {
    /// The method as RFC 9110 spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Patch => "PATCH",
        }
    }
}

/// What the path of every public link begins with.
pub const LINKS: &str = "/p/";

macro_rules! routes {
    ($($route:ident = $verb:ident $path:literal, $operation:literal, $what:literal;)*) => {
        /// A route.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Route {
            $(#[doc = $what] $route,)*
        }

        impl Route {
            /// Every route.
            pub const ALL: &'static [Self] = &[$(Self::$route,)*];

            /// Its method.
            #[must_use]
            pub const fn verb(self) -> Verb {
                match self { $(Self::$route => Verb::$verb,)* }
            }

            /// Its path, with parameters in braces.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$route => $path,)* }
            }

            /// Its name in the document, for generated clients.
            #[must_use]
            pub const fn operation(self) -> &'static str {
                match self { $(Self::$route => $operation,)* }
            }

            /// What it is for, in a sentence.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$route => $what,)* }
            }
        }
    };
}

routes! {
    CreateLog = Put "/v1/logs/{log}", "createLog", "Make a log with a policy on sealed payloads, if it is not there.";
    LogStatus = Get "/v1/logs/{log}", "logStatus", "A log's bounds.";
    DeleteLog = Delete "/v1/logs/{log}", "deleteLog", "Delete a log that still ends where the caller saw it end.";
    RotateKeys = Post "/v1/logs/{log}/keys/rotate", "rotateKeys", "Raise a log's key epoch by one.";
    Logs = Get "/v1/logs", "listLogs", "The bucket's logs in id order, after one.";
    Push = Post "/v1/logs/{log}/ops", "push", "Add ops, and hear what is new.";
    Pull = Get "/v1/logs/{log}/ops", "pull", "Read on from a cursor.";
    GetSnapshot = Get "/v1/logs/{log}/snapshot", "getSnapshot", "The newest snapshot, if there is one worth starting from.";
    PutSnapshot = Put "/v1/logs/{log}/snapshot", "putSnapshot", "Offer a snapshot made by a client.";
    RestorePoints = Get "/v1/logs/{log}/restore-points", "restorePoints", "Places worth going back to, newest first.";
    Restore = Post "/v1/logs/{log}/restore", "restore", "Make the state at a seq the present one again.";
    UndoRestore = Post "/v1/logs/{log}/restore/undo", "undoRestore", "Take the last restore back.";
    Acknowledge = Post "/v1/logs/{log}/acknowledge", "acknowledge", "Say up to where a replica holds the log durably, and hear what all of them hold.";
    Devices = Get "/v1/logs/{log}/devices", "devices", "Which replicas hold the log, and how far.";
    ReserveBlobs = Post "/v1/logs/{log}/blobs/reserve", "reserveBlobs", "Which of these blobs have to be sent before an op refers to them; all of them are kept for a day.";
    BlobUsage = Get "/v1/logs/{log}/blobs", "blobUsage", "What the log's blobs take, and may take.";
    SetBlobQuota = Put "/v1/logs/{log}/blobs", "setBlobQuota", "Say what the log's blobs may take.";
    PutBlobs = Post "/v1/logs/{log}/blobs", "putBlobs", "Send many small blobs at once.";
    GetBlobs = Post "/v1/logs/{log}/blobs/get", "getBlobs", "Read many small blobs at once.";
    PutBlob = Put "/v1/logs/{log}/blobs/{blob}", "putBlob", "Send a blob.";
    GetBlob = Get "/v1/logs/{log}/blobs/{blob}", "getBlob", "A blob, or a range of it.";
    UploadAt = Head "/v1/logs/{log}/uploads/{blob}", "uploadAt", "How far the upload of a large blob is.";
    AppendBlob = Patch "/v1/logs/{log}/uploads/{blob}", "appendBlob", "Send more of a large blob.";
    DropUpload = Delete "/v1/logs/{log}/uploads/{blob}", "dropUpload", "Drop what came of an upload.";
    SetScanning = Put "/v1/logs/{log}/scanning", "setScanning", "Say whether the log's blobs are scanned, and read before they are.";
    Scans = Get "/v1/logs/{log}/scans", "scans", "What scanners said of the log's blobs, by their names, after one.";
    ReleaseBlob = Put "/v1/logs/{log}/scans/{blob}", "releaseBlob", "Let a blob be read, whatever a scanner says of it.";
    RescanBlob = Delete "/v1/logs/{log}/scans/{blob}", "rescanBlob", "Forget what was said of a blob, a release too, and have it judged again.";
    KeepManifest = Put "/v1/logs/{log}/manifests/{blob}", "keepManifest", "Keep the pieces that a manifest lists for as long as the manifest is kept, so that a commit may refer to it.";
    Commit = Post "/v1/logs/{log}/commits", "commit", "Change the log's tree of files.";
    ShareFolder = Post "/v1/logs/{log}/shares", "shareFolder", "Make a folder of the log's tree the tree of a log of its own, and mount that in its place.";
    TreeTerms = Get "/v1/logs/{log}/tree", "treeTerms", "What the log's tree of files takes, and how much of it there is.";
    SetTreeTerms = Put "/v1/logs/{log}/tree", "setTreeTerms", "Say what the log's tree of files takes.";
    Nodes = Get "/v1/logs/{log}/nodes", "nodes", "All nodes of the tree, live and dead, by id, after one.";
    Node = Get "/v1/logs/{log}/nodes/{node}", "node", "One node of the tree, or the one that stands for it; none is an empty list.";
    Children = Get "/v1/logs/{log}/nodes/{node}/children", "children", "What is in a folder, by folded names, after one.";
    Revisions = Get "/v1/logs/{log}/nodes/{node}/revisions", "revisions", "What a file contained, oldest first, after one.";
    Leaves = Get "/v1/logs/{log}/nodes/{node}/leaves", "leaves", "Nodes from one down, live or dead, that have nothing in them: some of them, in any order.";
    PurgeTrash = Delete "/v1/logs/{log}/trash/{node}", "purgeTrash", "Purge what was deleted: a dead node with everything in it is forgotten.";
    Trash = Get "/v1/logs/{log}/trash", "trash", "What was deleted from the tree, by id, after one.";
    MakeLink = Post "/v1/logs/{log}/links", "makeLink", "Make a public link to a file or folder.";
    Links = Get "/v1/logs/{log}/links", "links", "The links of the log, by id, after one.";
    RevokeLink = Delete "/v1/logs/{log}/links/{link}", "revokeLink", "End a link.";
    OpenLink = Get "/p/{token}", "openLink", "What a public link leads to: a file's bytes, or what is in a folder.";
    OpenLinkByForm = Post "/p/{token}", "openLinkByForm", "The same, with the link's password in a form.";
    MintToken = Post "/v1/tokens", "mintToken", "Make a bearer token.";
    RevokeToken = Delete "/v1/tokens/{id}", "revokeToken", "End a bearer token.";
    RotateToken = Post "/v1/tokens/{id}/rotate", "rotateToken", "Make another token take a token's place, which lets in for five minutes yet.";
    Tokens = Get "/v1/tokens", "tokens", "The tokens of the bucket, by id, after one.";
    CreateGroup = Post "/v1/groups", "createGroup", "Make a group of those who hold tokens.";
    Groups = Get "/v1/groups", "groups", "The groups of the bucket, by id, after one.";
    DeleteGroup = Delete "/v1/groups/{id}", "deleteGroup", "End a group, with all that it is granted.";
    JoinGroup = Put "/v1/groups/{id}/tokens/{member}", "joinGroup", "Put a token into a group.";
    LeaveGroup = Delete "/v1/groups/{id}/tokens/{member}", "leaveGroup", "Take a token out of a group.";
    Grant = Put "/v1/groups/{id}/logs/{log}", "grant", "Say what a group's members may do to a log.";
    EndGrant = Delete "/v1/groups/{id}/logs/{log}", "endGrant", "Take from a group what it is granted for a log.";
    Wake = Get "/v1/logs/{log}/wake", "wake", "A WebSocket that says when the log has grown.";
    OpenApi = Get "/v1/openapi.json", "openapi", "This document.";
    Live = Get "/health/live", "live", "Whether the process runs.";
    Ready = Get "/health/ready", "ready", "Whether requests are served: the store answers and nothing is stopping.";
}

impl Route {
    /// Whether anybody may use it, without saying who they are.
    #[must_use]
    pub const fn is_open(self) -> bool {
        self.is_link() || matches!(self, Self::OpenApi | Self::Live | Self::Ready)
    }

    /// Whether the address itself says who asks.
    #[must_use]
    pub const fn is_link(self) -> bool {
        matches!(self, Self::OpenLink | Self::OpenLinkByForm)
    }

    /// Whether its request has a body.
    #[must_use]
    pub const fn takes_body(self) -> bool {
        matches!(
            self,
            Self::Push
                | Self::PutSnapshot
                | Self::Restore
                | Self::UndoRestore
                | Self::RotateKeys
                | Self::Acknowledge
                | Self::MintToken
                | Self::ReserveBlobs
                | Self::SetBlobQuota
                | Self::SetScanning
                | Self::MakeLink
                | Self::CreateGroup
                | Self::Commit
                | Self::SetTreeTerms
                | Self::ShareFolder
        )
    }

    /// Whether a blob's bytes come or go, as they are and one after the other.
    #[must_use]
    pub const fn streams(self) -> bool {
        matches!(
            self,
            Self::PutBlobs
                | Self::GetBlobs
                | Self::PutBlob
                | Self::GetBlob
                | Self::UploadAt
                | Self::AppendBlob
                | Self::DropUpload
        )
    }

    /// Whether its bodies, given and answered, may be in the binary form, too.
    #[must_use]
    pub const fn speaks_binary(self) -> bool {
        matches!(self, Self::Push | Self::Pull | Self::GetSnapshot | Self::PutSnapshot)
    }
}
