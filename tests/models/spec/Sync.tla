-------------------------------- MODULE Sync --------------------------------
(* A log on a server, copies of it on replicas, and everything that may become of either: what the conversation rests on. *)
(* An op is its number. An anchor stands for the history up to a seq; in the product it is an origin and a running hash.   *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS Replicas,
    Writes, Rollbacks, Empties, Floors, Images, \* how often each may happen, at most
    Anchor,     \* "hash" as it is; "origin" or "none" are mistakes
    Offers,     \* TRUE as it is: a copy that is cut back offers what it held
    Remembers   \* TRUE as it is: a log knows the ids of ops that were dropped

VARIABLES
    server,     \* [origin, ops, floor]: which life of the log, its ops, and how many of them only a state stands for
    backup,     \* an earlier server
    copy,       \* of each replica: [origin, ops, kept]; it keeps no op up to kept, only their state
    queue,      \* of each replica: what it has still to offer
    aside,      \* of each replica: what it could not offer, kept as a conflict
    image,      \* of each replica: an earlier <<copy, queue, aside>>
    written,    \* how many ops there are
    gone,       \* ops that somebody destroyed: a rollback or a restore while nobody else had them
    issued,     \* every anchor that was ever given to a reader, with its history
    left        \* what may still happen
vars == <<server, backup, copy, queue, aside, image, written, gone, issued, left>>

Range(s) == {s[i] : i \in 1..Len(s)}
Max(a, b) == IF a > b THEN a ELSE b
Upto(h, n) == SubSeq(h.ops, 1, n)
From(h, n) == SubSeq(h.ops, n + 1, Len(h.ops))
Nothing == [origin |-> 0, ops |-> <<>>, kept |-> 0]
Without(s, known) == SelectSeq(s, LAMBDA op : op \notin known)

AnchorOf(h, n) == CASE Anchor = "hash" -> <<h.origin, Upto(h, n)>>
                    [] Anchor = "origin" -> <<h.origin, n>>
                    [] OTHER -> n

(* What the server says to a replica's cursor, which is at the end of its copy.                                            *)
Fits(r) == LET n == Len(copy[r].ops)
           IN n = 0 \/ (n <= Len(server.ops) /\ AnchorOf(copy[r], n) = AnchorOf(server, n))
Pruned(r) == Len(copy[r].ops) < server.floor
Common(r) == LET both == {n \in 1..Len(copy[r].ops) : n <= Len(server.ops) /\ AnchorOf(copy[r], n) = AnchorOf(server, n)}
             IN CHOOSE n \in both \cup {0} : \A m \in both : m <= n

Init == /\ server = [origin |-> 1, ops |-> <<>>, floor |-> 0] /\ backup = server
        /\ copy = [r \in Replicas |-> Nothing] /\ queue = [r \in Replicas |-> <<>>] /\ aside = [r \in Replicas |-> {}]
        /\ image = [r \in Replicas |-> <<Nothing, <<>>, {}>>]
        /\ written = 0 /\ gone = {} /\ issued = {}
        /\ left = [rollbacks |-> Rollbacks, empties |-> Empties, floors |-> Floors, images |-> Images]

(* A user writes: durable at once, without asking anybody.                                                                 *)
Write(r) == /\ written < Writes /\ written' = written + 1
            /\ queue' = [queue EXCEPT ![r] = Append(@, written + 1)]
            /\ UNCHANGED <<server, backup, copy, aside, image, gone, issued, left>>

(* What a replica has still to offer goes into the log. An op leaves its queue only when a page brings it: that is a step *)
(* of its own, so an answer that is lost is a page that does not come, yet.                                                *)
Push(r) == /\ Fits(r)
           /\ LET known == IF Remembers THEN Range(server.ops) ELSE Range(From(server, server.floor))
              IN \E n \in 1..Len(queue[r]) :
                     LET new == Without(SubSeq(queue[r], 1, n), known)
                     IN new # <<>> /\ server' = [server EXCEPT !.ops = @ \o new]
           /\ UNCHANGED <<backup, copy, queue, aside, image, written, gone, issued, left>>

(* The next op of the log.                                                                                                 *)
Pull(r) == LET n == Len(copy[r].ops) + 1
           IN /\ Fits(r) /\ ~Pruned(r) /\ n <= Len(server.ops)
              /\ copy' = [copy EXCEPT ![r] = [@ EXCEPT !.origin = server.origin, !.ops = Append(@, server.ops[n])]]
              /\ queue' = [queue EXCEPT ![r] = Without(@, {server.ops[n]})]
              /\ issued' = issued \cup {<<AnchorOf(server, n), <<server.origin, Upto(server, n)>>>>}
              /\ UNCHANGED <<server, backup, aside, image, written, gone, left>>

(* Ops that a replica would need were dropped: it begins with their state, and offers what it has beside that.              *)
Begin(r) == /\ Fits(r) /\ Pruned(r)
            /\ copy' = [copy EXCEPT ![r] = [origin |-> server.origin, ops |-> Upto(server, server.floor), kept |-> server.floor]]
            /\ queue' = [queue EXCEPT ![r] = Without(From(copy[r], copy[r].kept) \o @, Range(Upto(server, server.floor)))]
            /\ aside' = [aside EXCEPT ![r] = @ \cup (Range(Upto(copy[r], copy[r].kept)) \ Range(Upto(server, server.floor)))]
            /\ UNCHANGED <<server, backup, image, written, gone, issued, left>>

(* The server's history is another: back to what is common, and what was held after it is offered again. Where the copy    *)
(* does not reach back so far it begins anew, and the state that it cannot offer is put aside.                              *)
Rewind(r) == LET common == Common(r)
                 held == From(copy[r], Max(common, copy[r].kept))
                 back == IF common >= copy[r].kept
                         THEN [copy[r] EXCEPT !.ops = Upto(copy[r], common), !.origin = IF common = 0 THEN 0 ELSE @]
                         ELSE Nothing
             IN /\ ~Fits(r)
                /\ copy' = [copy EXCEPT ![r] = back]
                /\ queue' = [queue EXCEPT ![r] = IF Offers THEN held \o @ ELSE @]
                /\ aside' = [aside EXCEPT ![r] = IF back = Nothing THEN @ \cup Range(Upto(copy[r], copy[r].kept)) ELSE @]
                /\ UNCHANGED <<server, backup, image, written, gone, issued, left>>

Holds(c, q, a) == Range(From(c, c.kept)) \cup Range(q) \cup a
Held == UNION {Holds(copy[r], queue[r], aside[r]) : r \in Replicas}
Somewhere == Range(server.ops) \cup Held

(* What only somebody from outside does. What nobody else had is gone then; everything else must survive.                  *)
Spend(what) == left[what] > 0 /\ left' = [left EXCEPT ![what] = @ - 1]
Backup == /\ left.rollbacks > 0 /\ backup' = server
          /\ UNCHANGED <<server, copy, queue, aside, image, written, gone, issued, left>>
Becomes(next) == /\ server' = next /\ gone' = gone \cup ((1..written) \ (Range(next.ops) \cup Held))
                 /\ UNCHANGED <<backup, copy, queue, aside, image, written, issued>>
Rollback == Spend("rollbacks") /\ Becomes(backup)
Empty == Spend("empties") /\ Becomes([origin |-> 2 + Empties - left.empties, ops |-> <<>>, floor |-> 0])
Floor == /\ Spend("floors")
         /\ \E n \in (server.floor + 1)..Len(server.ops) : server' = [server EXCEPT !.floor = n]
         /\ UNCHANGED <<backup, copy, queue, aside, image, written, gone, issued>>
(* A replica lets go of ops only right after the server said that its cursor fits: all of them are in the log then.         *)
LetGo(r) == /\ Fits(r) /\ Spend("floors") /\ copy' = [copy EXCEPT ![r].kept = Len(copy[r].ops)]
            /\ UNCHANGED <<server, backup, queue, aside, image, written, gone, issued>>
Image(r) == /\ left.images > 0 /\ image' = [image EXCEPT ![r] = <<copy[r], queue[r], aside[r]>>]
            /\ UNCHANGED <<server, backup, copy, queue, aside, written, gone, issued, left>>
Restore(r) == /\ Spend("images")
              /\ copy' = [copy EXCEPT ![r] = image[r][1]] /\ queue' = [queue EXCEPT ![r] = image[r][2]]
              /\ aside' = [aside EXCEPT ![r] = image[r][3]]
              /\ gone' = gone \cup ((1..written) \ (Range(server.ops) \cup
                     UNION {Holds(copy'[s], queue'[s], aside'[s]) : s \in Replicas}))
              /\ UNCHANGED <<server, backup, image, written, issued>>

Works(r) == Push(r) \/ Pull(r) \/ Begin(r) \/ Rewind(r)
Next == \/ \E r \in Replicas : Write(r) \/ Works(r) \/ LetGo(r) \/ Image(r) \/ Restore(r)
        \/ Backup \/ Rollback \/ Empty \/ Floor
Spec == Init /\ [][Next]_vars /\ \A r \in Replicas : WF_vars(Works(r))

(* A cursor that fits has passed no op that its reader did not see.                                                        *)
NoOpUnseen == \A r \in Replicas : Fits(r) => \A i \in 1..Len(copy[r].ops) : server.ops[i] \in Range(copy[r].ops)
(* What was written is in the log, or held by a replica that will offer it, unless somebody destroyed it.                  *)
NothingLost == (1..written) \subseteq Somewhere \cup gone
OneEffect == \A i, j \in 1..Len(server.ops) : server.ops[i] = server.ops[j] => i = j
OneHistory == \A a, b \in issued : a[1] = b[1] => a[2] = b[2]
(* Everything comes to rest with equal copies and nothing left to offer.                                                   *)
Settles == <>[](\A r \in Replicas : copy[r].ops = server.ops /\ queue[r] = <<>>)
=============================================================================
