/* The deployment engine as it is: two workers, two deployments of one lane, everything that may go wrong.

   Each rule names the function that it stands for. A row of the database is `row[d]`; a d_step is one transaction, or
   one look at the target behind its door. What lies between two d_steps may last for ever: a worker that is frozen, or
   slow, is one that is not scheduled. Time is not counted: an event that takes time is one that may happen.
   `python -m tests.model` checks it exhaustively, and that each mutant (the #ifdef's) is found.

   I1  at most one long effect is at work on the target
   I2  no effect carries a fence below the last accepted one
   I3  what has ended stays as it ended
   I4  nothing stays open that nobody will look at
   I5  each change of state has its event
   I6  nothing starts when its gates have turned
   J1  no effect without an intent that is committed
   J2  no effect twice, none for an attempt that has ended, and what the row says of the target is true  */

#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef MUTES
#define MUTES 1
#endif
#ifndef CANCELS
#define CANCELS 1
#endif
#ifndef BLINDS
#define BLINDS 1      /* looks that the target does not answer */
#endif
#ifndef ABANDONS
#define ABANDONS 0
#endif
#ifndef HANGS
#define HANGS 1       /* a child of the executor that never ends by itself */
#endif
#ifndef FAILOVERS
#define FAILOVERS 0   /* a standby is promoted that lacks the last transaction */
#endif
#define CLAIMS 7

#define OLD 2         /* what serves at first */

/* States (enums.DeploymentState); MIGRATING and VERIFYING hold the lane as APPLYING does. */
#define NONE      0
#define QUEUED    1
#define STARTING  2
#define APPLYING  3
#define CANCELLING 4
#define UNKNOWN   5
#define SUCCEEDED 6
#define FAILED    7
#define ERRORED   8
#define CANCELLED 9
#define EXPIRED   10
#define ABANDONED 11

#define ACTIVE(s) ((s) >= STARTING && (s) <= UNKNOWN)
#define OPEN(s)   ((s) >= QUEUED && (s) <= UNKNOWN)
#define ENDED(s)  ((s) >= SUCCEEDED)

/* Standings (executors.contract.Standing) */
#define NOTHING     0
#define APPLIED     1
#define NOT_APPLIED 2
#define IN_FLIGHT   3
#define UNREACHABLE 4

typedef Row {
    byte state;
    byte fence;
    byte token;       /* the claim that owns the row, 0: nobody (a random lease_token: never the same twice) */
    bool lease;       /* lease_until lies ahead */
    byte attempt;
    bool cancel;      /* cancel_requested_at */
    bool rollback;    /* DeploymentKind.ROLLBACK */
    bool begun;       /* the journal's intents: a start, */
    bool switching;   /* and a switch */
    bool untold;      /* a change whose event is missing */
};

Row row[2];
byte sequence;        /* deployment_fence */
byte claims;          /* how many there were: the lease tokens */
bool ready = 1;       /* the gates of deployment 0 */
#if FAILOVERS
Row standby[2];
byte standby_sequence;
#define KEEP_TAIL standby_row(0); standby_row(1); standby_sequence = sequence;
#else
#define KEEP_TAIL
#endif

/* What each worker has in hand */
byte running[2];      /* its claim, 0: none */
byte fence[2];
byte known[2];        /* the state that its row in hand names */
bool mute[2];         /* its heartbeat reaches nobody: frozen, or cut off from the database */
bool silent[2];       /* ENGINE_GUARD_SILENCE has passed without a renewal */
bool crashed[2];

/* The target */
byte accepted;        /* the highest fence that came through the door */
byte live = OLD;
byte work;            /* who holds the lane's work lock, 0: nobody */
byte child[2];        /* the deployment + 1 that a child of worker w is at work for, */
byte parent[2];       /* and the claim that began it: it may outlive its worker, for a moment */
#define IS_ORPHAN(w) (child[w] != 0 && parent[w] != running[w])
byte inflight;
bool hung[2];         /* that child does not end by itself */
bool slot[2];         /* a slot is started for deployment d */
byte starts[2];
byte switches[2];

byte crashes_left = CRASHES;
byte mutes_left = MUTES;
byte cancels_left = CANCELS;
byte blinds_left = BLINDS;
byte abandons_left = ABANDONS;
bool hangs_left = HANGS;
byte failovers_left = FAILOVERS;
bool turns_left = 1;

/* journal.require_owner, the filter of transitions.advance */
#define OWNS(w, d) (running[w] && row[d].token == running[w] && row[d].fence == fence[w] && row[d].state == known[w])
#define IS_OURS(w, d) (running[w] && row[d].token == running[w])

inline standby_row(n) {
    standby[n].state = row[n].state; standby[n].fence = row[n].fence; standby[n].token = row[n].token;
    standby[n].lease = row[n].lease; standby[n].attempt = row[n].attempt; standby[n].cancel = row[n].cancel;
    standby[n].rollback = row[n].rollback
}

/* transitions.advance: state, history and event in one transaction; an ended row gives its lease back. I3 */
inline advance(d, to) {
    assert(!ENDED(row[d].state));
    row[d].state = to;
    if :: ENDED(to) -> row[d].token = 0; row[d].lease = 0 :: else fi
}

/* The end of engine.run._run: Lease.__exit__ */
inline leave(w) {
    running[w] = 0; fence[w] = 0; known[w] = 0; mute[w] = 0; silent[w] = 0;
    if :: work == w + 1 && child[w] == 0 -> work = 0 :: else fi
}

/* Lane.fenced, Place.door: what carries a lower fence is refused, what is accepted raises it */
#ifdef NO_DOOR
#define REFUSED(w) false
#else
#define REFUSED(w) (fence[w] < accepted)
#endif
inline accept(w) {
    assert(fence[w] >= accepted);                                                        /* I2 */
    accepted = fence[w]
}

/* The lane's work lock: Lane.at_work, Place.at_work. With NO_LOCK workers run on two machines and have none. */
#ifdef NO_LOCK
#define WORKED_AT false
#define LOCK(w) skip
#define FREE(w) skip
#else
#define WORKED_AT (work != 0)
#define LOCK(w) work = w + 1
#define FREE(w) work = 0
#endif

/* executor.probe: raises the fence (docs/adr/0050), then looks */
inline probe(w, d) {
    if
    :: d_step { blinds_left > 0 -> blinds_left--; seen = UNREACHABLE }
    :: d_step {
           else_refused = REFUSED(w);
           if
           :: else_refused -> leave(w)
           :: else ->
#ifndef PROBE_DOES_NOT_RAISE
               accept(w);
#endif
               skip
           fi }
       if :: else_refused -> goto idle :: else fi;
       d_step {
           if
           :: WORKED_AT -> seen = IN_FLIGHT
           :: else -> if :: live == d -> seen = APPLIED :: else -> seen = NOT_APPLIED fi
           fi }
    fi
}

/* guard_process.Watch.is_silent, Lifeline.require: nothing begins when the last renewal is too far back. */
#ifdef GUARD_COUNTS_FROM_START
#define MAY_BEGIN(w) true
#else
#define MAY_BEGIN(w) (!silent[w])
#endif

/* What is due (due_work): a row that waits, one nobody holds, one whose lease has lapsed. In UNKNOWN the next look comes
   later (probe_after): when no step is at work any more. */
#define DUE(d) (row[d].state == QUEUED \
    || (row[d].state == STARTING && row[d].token == 0) \
    || (ACTIVE(row[d].state) && row[d].state != UNKNOWN && row[d].token != 0 && !row[d].lease) \
    || (row[d].state == UNKNOWN && work == 0 && (row[d].token == 0 || !row[d].lease)))

/* claim.claim under locks.deployment; runner._lapse is the first branch. A hint that comes twice is a claim that finds
   nothing due. */
inline claim(w, d) {
    KEEP_TAIL
    if
    :: ACTIVE(row[d].state) && row[d].state != UNKNOWN && row[d].token != 0 && !row[d].lease ->
        advance(d, UNKNOWN); row[d].token = 0
    :: else
    fi;
    if
#ifndef GATES_NOT_JUDGED_AGAIN
    :: row[d].state == QUEUED && d == 0 && !ready -> advance(d, EXPIRED)
#endif
    :: else ->
        assert(row[d].state != QUEUED || d == 1 || ready);                               /* I6 */
        if :: row[d].state == QUEUED -> advance(d, STARTING) :: else fi;
        take(w, d)
    fi
}

inline take(w, d) {
    sequence++; claims++;
    row[d].fence = sequence; row[d].token = claims; row[d].lease = 1;
    running[w] = claims; fence[w] = sequence; known[w] = row[d].state; mute[w] = 0; silent[w] = 0
}

/* endings.give_up, endings.lose_sight */
inline give_up(w, d) {
    d_step {
        if
        :: OWNS(w, d) -> KEEP_TAIL if :: row[d].state != UNKNOWN -> advance(d, UNKNOWN) :: else fi;
           row[d].token = 0; row[d].lease = 0
        :: else
        fi;
        leave(w) }
}

/* journal.begin: the intent, and the state that the step runs in */
inline intent(w, d, a_switch) {
    d_step {
        ok = OWNS(w, d);
        if
        :: ok -> KEEP_TAIL if :: row[d].state != APPLYING -> advance(d, APPLYING); known[w] = APPLYING :: else fi;
           if :: a_switch -> row[d].switching = 1 :: else -> row[d].begun = 1 fi
        :: else -> leave(w)
        fi }
    if :: !ok -> goto idle :: else fi
}

/* Lease.require */
#define REQUIRE(w) if :: d_step { silent[w] -> leave(w) } goto idle :: else fi;

proctype Worker(byte w) {
    byte d, seen;
    bool ok, else_refused;
again:
    { skip;
idle:
    d = 0; seen = NOTHING; ok = 0; else_refused = 0;
#ifdef CLAIM_WITHOUT_LOCK
    if :: DUE(0) && claims < CLAIMS -> d = 0 :: DUE(1) && claims < CLAIMS -> d = 1 fi;
    d_step { if :: !ENDED(row[d].state) && row[d].state != NONE -> claim(w, d) :: else fi }
#else
    if
    :: d_step { DUE(0) && claims < CLAIMS -> d = 0; claim(w, d) }
    :: d_step { DUE(1) && claims < CLAIMS -> d = 1; claim(w, d) }
    fi;
#endif
    if
    :: running[w] == 0 -> goto idle
    :: running[w] != 0 && known[w] == UNKNOWN -> goto resolve
    :: else
    fi;

carry_out: skip;                                                    /* engine.run._carry_out: the steps */
    REQUIRE(w)
    if :: row[d].cancel && IS_OURS(w, d) -> goto cancel :: true fi;   /* the beat brings the wish, or not yet */
#ifndef INTENT_AFTER_EFFECT
    intent(w, d, false);
#endif
    d_step { ok = !WORKED_AT; if :: ok -> LOCK(w) :: else fi }
    if :: !ok -> goto lost_sight :: else fi;
    d_step {                                                  /* START_GREEN: its child begins */
        ok = !REFUSED(w) && MAY_BEGIN(w);
        if
        :: ok && !slot[d] -> accept(w);
           assert(row[d].begun || row[d].state == ABANDONED);                            /* J1 */
           assert(!ENDED(row[d].state) || row[d].state == ABANDONED);                    /* J2 */
           child[w] = d + 1; parent[w] = running[w]; inflight++;
           assert(inflight <= 1)                                                         /* I1 */
        :: ok && slot[d] -> accept(w)
        :: else -> FREE(w); leave(w)
        fi }
    if :: !ok -> goto idle :: else fi;
    if
    :: child[w] == 0                                          /* it ended, well or not */
    :: d_step { child[w] != 0 && row[d].cancel && IS_OURS(w, d) -> child[w] = 0; hung[w] = 0; inflight--; FREE(w) }
       goto cancel
    :: d_step { child[w] != 0 && hung[w] -> child[w] = 0; hung[w] = 0; inflight--; FREE(w) }
       goto fail                                              /* ENGINE_APPLY_LIMIT: Lease.is_late */
    fi;
    FREE(w);
#ifdef INTENT_AFTER_EFFECT
    intent(w, d, false);
#endif
    if :: !slot[d] -> goto lost_sight :: else fi;             /* killed half-way: nobody can tell */
    REQUIRE(w)
    if :: row[d].cancel && IS_OURS(w, d) -> goto cancel :: true fi;
    intent(w, d, true);
    d_step { ok = !WORKED_AT; if :: ok -> LOCK(w) :: else fi }
    if :: !ok -> goto lost_sight :: else fi;
    d_step {                                                  /* SWITCH: short, behind the door */
        ok = !REFUSED(w);
        if
        :: ok && slot[d] && live != d -> accept(w);
           assert(row[d].switching || row[d].state == ABANDONED);                        /* J1 */
           assert(!ENDED(row[d].state) || row[d].state == ABANDONED);                    /* J2 */
           live = d; switches[d]++;
           assert(switches[d] <= 1)                                                      /* J2 */
        :: ok && (!slot[d] || live == d) -> accept(w)
        :: else -> leave(w)
        fi;
        FREE(w) }
    if :: !ok -> goto idle :: else fi;
    if :: live != d -> goto lost_sight :: else fi;

verify: skip;                                                       /* verification.verify */
    REQUIRE(w)
    if :: row[d].cancel && IS_OURS(w, d) && known[w] == APPLYING -> goto cancel :: true fi;
    if :: goto succeed :: goto fail fi;

succeed: skip;                                                      /* endings.succeed */
    d_step {
#ifdef TERMINAL_REWRITTEN
        if
        :: running[w] -> advance(d, SUCCEEDED)
#else
        if
        :: OWNS(w, d) -> KEEP_TAIL assert(live == d);                                    /* J2 */
           advance(d, SUCCEEDED);
#ifdef EVENT_LATER
           row[d].untold = 1
#endif
#endif
        :: else
        fi;
        ok = running[w];
#ifndef EVENT_LATER
        leave(w)
#endif
        }
#ifdef EVENT_LATER
    d_step { row[d].untold = 0; leave(w) }
#endif
    goto idle;

fail: skip;                                                         /* endings.fail, rollback.begin: one transaction */
    d_step {
        if
        :: OWNS(w, d) -> KEEP_TAIL advance(d, FAILED);
           if
           :: d == 0 && row[1].state == NONE -> row[1].state = STARTING; row[1].rollback = 1; row[1].attempt = 1
           :: else
           fi
        :: else
        fi;
        leave(w) }
    goto idle;

resolve: skip;                                                      /* resolve.resolve */
    REQUIRE(w)
#ifdef PROBE_SKIPPED
    seen = NOT_APPLIED;
#else
    probe(w, d);
#endif
    if :: seen == IN_FLIGHT || seen == UNREACHABLE -> goto lost_sight :: else fi;
    if :: row[d].cancel -> goto cancel :: else fi;
    if :: seen == APPLIED -> goto verify :: else fi;
    d_step {                                                  /* resolve._try_again: once, by the same key */
        ok = OWNS(w, d);
        if
        :: ok && row[d].attempt < 2 -> KEEP_TAIL advance(d, STARTING); row[d].attempt++; known[w] = STARTING; seen = NOTHING
        :: ok && row[d].attempt == 2
        :: else -> leave(w)
        fi }
    if
    :: !ok -> goto idle
    :: ok && known[w] == STARTING -> goto carry_out
    :: else
    fi;
    if :: row[d].rollback -> goto fail :: else fi;
    goto discard;

cancel: skip;                                                       /* resolve.cancel */
    d_step {
        ok = OWNS(w, d);
        if
        :: ok -> KEEP_TAIL advance(d, CANCELLING); known[w] = CANCELLING
        :: else -> leave(w)
        fi }
    if :: !ok -> goto idle :: else fi;
    if :: seen == NOTHING -> probe(w, d) :: else fi;
    if
    :: seen == APPLIED -> goto fail
    :: seen == IN_FLIGHT || seen == UNREACHABLE -> goto lost_sight
    :: else
    fi;

discard: skip;                                                      /* endings._discard, then _give_back */
    REQUIRE(w)
    d_step { ok = !WORKED_AT; if :: ok -> LOCK(w) :: else fi }
    if :: !ok -> goto lost_sight :: else fi;
    d_step {
        ok = !REFUSED(w);
        else_refused = (live == d);                           /* NotIdle: it serves */
        if
        :: ok && live != d -> accept(w);
           assert(!ENDED(row[d].state) || row[d].state == ABANDONED);                    /* J2 */
           slot[d] = 0;
#if FAILOVERS
           starts[d] = 0                                      /* a lost ending is ended once more */
#endif
        :: ok && live == d
        :: else -> leave(w)
        fi;
        FREE(w) }
    if :: !ok -> goto idle :: else fi;
    if :: else_refused -> goto lost_sight :: else fi;
    d_step {
        if
        :: OWNS(w, d) -> KEEP_TAIL assert(live != d);                                    /* J2: untouched is untouched */
           if :: row[d].state == CANCELLING -> advance(d, CANCELLED) :: else -> advance(d, ERRORED) fi
        :: else
        fi;
        leave(w) }
    goto idle;

lost_sight: skip;
    give_up(w, d);
    goto idle
    } unless { crashed[w] };
    d_step { crashed[w] = 0; d = 0; seen = NOTHING; ok = 0; else_refused = 0 }
    goto again
}

/* A child goes on by itself; its guard kills it when the worker is gone or has been silent for too long. */
proctype Child(byte w) {
    byte d;
    do
    :: d_step { child[w] != 0 && !hung[w] && hangs_left -> hangs_left = 0; hung[w] = 1 }
    :: d_step { child[w] != 0 && !hung[w] ->
           d = child[w] - 1;
           assert(!ENDED(row[d].state) || row[d].state == ABANDONED);                    /* J2 */
           slot[d] = 1; starts[d]++;
           assert(starts[d] <= 1);                                                       /* J2 */
           child[w] = 0; inflight--; d = 0;
           if :: work == w + 1 && parent[w] != running[w] -> work = 0 :: else fi }
#ifndef NO_GUARD
    :: d_step { child[w] != 0 && (IS_ORPHAN(w) || silent[w]) -> child[w] = 0; hung[w] = 0; inflight--;
           if :: work == w + 1 && parent[w] != running[w] -> work = 0 :: else fi }
#endif
    od
}

/* A lease ends for others when its owner can't renew it: it is gone, or mute for longer than it needs to give up by
   itself (ENGINE_GUARD_SILENCE < ENGINE_LEASE: the guard has killed its child by then). */
#define HELD_BY(w, d) (running[w] == row[d].token)
#ifdef LEASE_SHORTER_THAN_SILENCE
#define MUST_LIVE(w, d) (HELD_BY(w, d) && !mute[w])
#else
#define MUST_LIVE(w, d) (HELD_BY(w, d) && (!mute[w] || !silent[w] || child[w] != 0))
#endif
#define LAPSES(d) (row[d].token != 0 && row[d].lease && !MUST_LIVE(0, d) && !MUST_LIVE(1, d) && ORPHANS_DEAD)
#ifdef NO_LOCK
#define ORPHANS_DEAD (!IS_ORPHAN(0) && !IS_ORPHAN(1))
#else
#define ORPHANS_DEAD true
#endif
#ifdef NO_GUARD
#undef MUST_LIVE
#define MUST_LIVE(w, d) (HELD_BY(w, d) && (!mute[w] || !silent[w]))
#endif

#define QUIET (row[0].state >= SUCCEEDED && !OPEN(row[1].state))

active proctype World() {
    d_step { row[0].state = QUEUED; row[0].attempt = 1 }
    run Worker(0); run Worker(1); run Child(0); run Child(1);
    do
    :: d_step { crashes_left > 0 && running[0] != 0 -> crashes_left--; crashed[0] = 1; leave(0) }
    :: d_step { crashes_left > 0 && running[1] != 0 -> crashes_left--; crashed[1] = 1; leave(1) }
    :: d_step { mutes_left > 0 && running[0] != 0 && !mute[0] -> mutes_left--; mute[0] = 1 }
    :: d_step { mutes_left > 0 && running[1] != 0 && !mute[1] -> mutes_left--; mute[1] = 1 }
    :: d_step { mute[0] && !silent[0] -> silent[0] = 1 }
    :: d_step { mute[1] && !silent[1] -> silent[1] = 1 }
    :: d_step { LAPSES(0) -> row[0].lease = 0 }
    :: d_step { LAPSES(1) -> row[1].lease = 0 }
       /* actions.cancel_deployment */
    :: d_step { cancels_left > 0 && row[0].state == QUEUED -> cancels_left--; KEEP_TAIL advance(0, CANCELLED) }
    :: d_step { cancels_left > 0 && ACTIVE(row[0].state) -> cancels_left--; KEEP_TAIL row[0].cancel = 1 }
       /* actions.abandon_deployment: only while nobody can tell */
    :: d_step { abandons_left > 0 && row[0].state == UNKNOWN -> abandons_left--; KEEP_TAIL advance(0, ABANDONED) }
       /* a freeze, a withdrawn decision */
    :: d_step { turns_left && row[0].state == QUEUED -> turns_left = 0; ready = 0 }
       /* start.start: require_free, deployment_lane_once */
#ifdef LANE_TWICE
    :: d_step { row[1].state == NONE -> KEEP_TAIL row[1].state = QUEUED; row[1].attempt = 1 }
#else
    :: d_step { row[1].state == NONE && ENDED(row[0].state) -> KEEP_TAIL row[1].state = QUEUED; row[1].attempt = 1 }
#endif
#if FAILOVERS
       /* The tail is lost; the engine sees another epoch: fences jump over what may be lost, nothing that was under way
          is believed. */
    :: d_step { failovers_left > 0 && standby[0].state != NONE ->
           failovers_left--;
           row[0].state = standby[0].state; row[0].fence = standby[0].fence; row[0].token = standby[0].token;
           row[0].lease = standby[0].lease; row[0].attempt = standby[0].attempt; row[0].cancel = standby[0].cancel;
           row[1].state = standby[1].state; row[1].fence = standby[1].fence; row[1].token = standby[1].token;
           row[1].lease = standby[1].lease; row[1].attempt = standby[1].attempt; row[1].cancel = standby[1].cancel;
           row[1].rollback = standby[1].rollback;      /* begun, switching stay: it was committed once (J1) */
           sequence = standby_sequence;
#ifndef EPOCH_IGNORED
           sequence = sequence + 2;
           if :: ACTIVE(row[0].state) -> row[0].state = UNKNOWN; row[0].token = 0; row[0].lease = 0 :: else fi;
           if :: ACTIVE(row[1].state) -> row[1].state = UNKNOWN; row[1].token = 0; row[1].lease = 0 :: else fi;
#endif
           skip }
#endif
       /* I4: when nothing more can happen, nothing is open (unless the model's claims are used up). I5: all is told. */
    :: timeout -> assert(QUIET || claims == CLAIMS); assert(!row[0].untold && !row[1].untold); break
    od
}
