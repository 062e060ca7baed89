-------------------------------- MODULE Walks -------------------------------
(* A walk of the real server and real replicas is a behaviour of Sync: from each state that was seen to the next one lead  *)
(* a few steps of whoever acted. Module Seen is made from the walk.                                                        *)
EXTENDS Sync, Seen
VARIABLES at, steps
CONSTANT StepsMax

Is(seen) == /\ server.ops = seen.log /\ server.floor = seen.floor
            /\ \A r \in Replicas : copy[r].ops = seen.copies[r] /\ Range(queue[r]) = seen.queues[r]
ActsAs(who) == IF who = "outside" THEN Backup \/ Rollback \/ Empty \/ Floor ELSE Write(who) \/ Works(who)

WalkInit == Init /\ at = 0 /\ steps = 0
Arrive == Is(Walk[at + 1]) /\ at' = at + 1 /\ steps' = 0 /\ UNCHANGED vars
Act == steps < StepsMax /\ ActsAs(Walk[at + 1].who) /\ steps' = steps + 1 /\ at' = at
WalkNext == at < Len(Walk) /\ (Arrive \/ Act)
WalkSpec == WalkInit /\ [][WalkNext]_<<vars, at, steps>>

(* Not true when the walk is one of Sync: TLC shows how.                                                                   *)
NotAllTheWay == at < Len(Walk)
=============================================================================
