/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has the XFS of a volume mounted: the protocol on paper. See README.md in this folder.
 *
 * The array is atomic. A command is issued, takes effect at some later moment, and is answered at some moment after
 * that; a fault keeps it from arriving, or loses its answer. A node has one command under way, and does other things
 * meanwhile: it accepts a grant, gives its request up, dies. What a dead daemon had under way may still arrive, once.
 *
 * Grants are messages that may come as often as they like while the request they name is open. Request numbers never
 * come back, so a grant for a request that was closed can never be accepted: it is forgotten here with the request.
 *
 * Bounded are faults, deaths and fresh keys; changes of owner are not.
 */
#ifndef NODES
#define NODES 2
#endif
#ifndef KEYS
#define KEYS 2		/* incarnations of a node */
#endif
#ifndef FAULTS
#define FAULTS 1	/* commands that do not arrive, or whose answer is lost */
#endif
#ifndef DEATHS
#define DEATHS 1	/* daemons that die while their node lives on */
#endif
#ifndef GIVEUPS
#define GIVEUPS 1	/* requests that are given up */
#endif

#ifndef TIMEOUTS
#define TIMEOUTS 2	/* grants that are taken back though they could still be used */
#endif

#define NOBODY NODES
#define NONE 0
#define KEY(node, life) ((node) * KEYS + (life))	/* life: 1.. */
#define NODE(k) (((k) - 1) / KEYS)
#define BIT(k) (1 << (k))

/* Does another node wait? */
#if NODES > 2
#define WAITING(i) ((request[0] && i != 0) || (request[1] && i != 1) || (request[2] && i != 2))
#else
#define WAITING(i) (request[1 - i])
#endif

/* phases */
#define MEMBER 0	/* READ RESERVATION, then what that says */
#define RESERVE 1
#define CHECK 2		/* with a permit: does the victim still hold it? */
#define PREEMPT 3
#define VERIFY 4
#define CONFIRM 5	/* READ KEYS, then a tenure */
#define HOLD 6
#define GRANTED 7
#define CHANGE 8	/* REGISTER of a new key over the old one: grants of that are void */
#define CHANGED 9
#define UNCLEAR 10
#define REJOIN 11	/* REGISTER where the registration went with the reservation */
#define PROVE 12
#define RESUME 13	/* a new daemon, with XFS mounted */

/*
 * Is the grant of node i still good for something? Else the grantee has declined it, or is dead. That it was used looks
 * the same to the granter, but costs it a key each time, of which there are few here: so it is told apart. Taking back
 * what is being used is one of the TIMEOUTS.
 */
#define USABLE(i) ((grants[NODE(grantee[i])] & BIT(key[i])) || holder != i)

/* commands, and what is answered */
#define NOTHING 0
#define READ_RESERVATION 1
#define READ_KEYS 2
#define DO_REGISTER 3
#define DO_RESERVE 4
#define DO_PREEMPT 5
#define DONE 1
#define CONFLICT 2
#define LOST 255

byte registered[NODES];
byte holder = NOBODY;

byte phase[NODES];
byte key[NODES];
byte life[NODES];
bool xfs[NODES];
bool ours[NODES];	/* READ RESERVATION has shown our key, and nothing since has made that old */
bool request[NODES];
byte permit[NODES];
short grants[NODES];	/* of which keys, for the open request */
byte left[NODES];	/* the key that is thought to be on our path when we register again */
byte grantee[NODES];	/* the key that we have granted to */
bool served[NODES];	/* XFS was attached in this tenure: it is the others' turn */

/* The command under way: 0 none, 1 on its way, 2 executed and its answer on the way. */
byte way[NODES];
byte command[NODES];
byte from[NODES];
byte to[NODES];
byte answer[NODES];
bool fresh[NODES];	/* nothing was done since it was asked that makes its answer old */

/* What a dead daemon left under way. */
byte orphan[NODES];
byte orphan_from[NODES];
byte orphan_to[NODES];

byte faults = FAULTS;
byte deaths = DEATHS;
byte giveups = GIVEUPS;
byte timeouts = TIMEOUTS;
byte k;			/* scratch, 0 outside of a step */

inline check()
{
	k = 0;
	do
	:: k < NODES ->
		assert(!xfs[k] || holder == k);	/* so it is one at most, and the array's owner */
		k++
	:: else -> break
	od;
	k = 0
}

inline doubt(i)
{
	fresh[i] = false;
	ours[i] = false
}

inline ask(i, what, a, b)
{
	command[i] = what;
	from[i] = a;
	to[i] = b;
	fresh[i] = true;
	way[i] = 1
}

/* A command of ours that changes something: what was shown before it is old. */
inline change(i, what, a, b)
{
	ours[i] = false;
	ask(i, what, a, b)
}

inline answered(i)
{
	command[i] = NOTHING;
	from[i] = 0;
	to[i] = 0;
	answer[i] = 0;
	fresh[i] = false;
	way[i] = 0
}

inline close_request(i)
{
	request[i] = false;
	permit[i] = NONE;
	grants[i] = 0
}

/* The key that a READ KEYS is to find: ours, once. */
inline count(i)
{
	answer[i] = 0;
	k = 0;
	do
	:: k < NODES ->
		if
		:: registered[k] == from[i] -> answer[i]++
		:: else
		fi;
		k++
	:: else -> break
	od;
	k = 0
}

inline execute(i, what, a, b, result)
{
	if
	:: what == READ_RESERVATION ->
		if
		:: holder == NOBODY -> result = NONE
		:: else -> result = registered[holder]
		fi
	:: what == READ_KEYS -> count(i)
	:: what == DO_REGISTER ->
		if
		:: registered[i] == a -> registered[i] = b; result = DONE
		:: else -> result = CONFLICT
		fi
	:: what == DO_RESERVE ->
		if
		:: registered[i] == a && (holder == NOBODY || holder == i) -> holder = i; result = DONE
		:: else -> result = CONFLICT
		fi
	:: what == DO_PREEMPT ->
		if
		:: registered[i] == a && registered[NODE(b)] == b ->
			registered[NODE(b)] = NONE;
			if
			:: holder == NODE(b) -> holder = i
			:: else
			fi;
			result = DONE
		:: else -> result = CONFLICT
		fi
	fi;
	check()
}

proctype array(byte i)
{
	byte ignored;
end:
	do
	:: atomic { way[i] == 1 -> execute(i, command[i], from[i], to[i], answer[i]); way[i] = 2 }
	:: atomic { way[i] == 1 && faults > 0 -> faults--; answer[i] = LOST; way[i] = 2 }
	:: atomic { way[i] == 2 && answer[i] != LOST && faults > 0 -> faults--; answer[i] = LOST }
	:: atomic {
		orphan[i] != NOTHING ->
			execute(i, orphan[i], orphan_from[i], orphan_to[i], ignored);
			ignored = 0;
			orphan[i] = NOTHING;
			orphan_from[i] = 0;
			orphan_to[i] = 0
	   }
	od
}

inline replaced(i)
{
	life[i]++;
	key[i] = KEY(i, life[i]);
	doubt(i)
}

/* What READ RESERVATION shows a member. */
inline member_read(i)
{
	if
#ifdef PLANTED_OLD_ANSWER
	:: answer[i] == LOST
	:: answer[i] == key[i] -> served[i] = false; phase[i] = HOLD; close_request(i)
#else
	:: !fresh[i] || answer[i] == LOST
#endif
	:: else ->
		if
		:: answer[i] == NONE -> phase[i] = RESERVE
		:: answer[i] == key[i] -> ours[i] = true; phase[i] = CONFIRM; close_request(i)
#ifdef PLANTED_NO_CONSENT
		:: answer[i] != NONE && answer[i] != key[i] -> permit[i] = answer[i]; phase[i] = PREEMPT
#else
		:: answer[i] != NONE && answer[i] != key[i] -> request[i] = true
#endif
		fi
	fi
}

inline taking_read(i)
{
	if
	:: !fresh[i] || answer[i] == LOST -> skip
	:: else ->
		if
		:: answer[i] == permit[i] -> phase[i] = PREEMPT
		:: answer[i] == key[i] -> ours[i] = true; phase[i] = CONFIRM; close_request(i)
		/* The grant was no good; the request stays open. */
		:: else -> grants[i] = grants[i] & ~BIT(permit[i]); permit[i] = NONE; phase[i] = MEMBER
		fi
	fi
}

inline granted_read(i)
{
	if
	:: !fresh[i] || answer[i] == LOST || answer[i] == key[i]
	:: else ->
		/* It moved, and our registration with it. Not seen with the grantee: it may be used yet. */
		if
		:: answer[i] != grantee[i] && life[i] < KEYS -> replaced(i)
		:: else -> doubt(i)
		fi;
		grantee[i] = NONE;
		phase[i] = REJOIN
	fi
}

inline changed_read(i)
{
	if
	:: !fresh[i] || answer[i] == LOST
	:: else ->
		if
		:: phase[i] == UNCLEAR && answer[i] == key[i] -> phase[i] = CHANGE
		:: phase[i] == CHANGED || answer[i] == KEY(i, life[i] + 1) -> replaced(i); phase[i] = MEMBER
		:: else -> replaced(i); phase[i] = REJOIN
		fi
	fi
}

proctype node(byte i)
{
	byte j;
end:
	do
	/* ---- commands ---- */
	:: atomic {
		/* A grant that has come is used before more is asked; one that is no good is taken back first. */
		way[i] == 0 && !(phase[i] == MEMBER && request[i] && grants[i] != 0) &&
			       !(phase[i] == GRANTED && !USABLE(i) && life[i] < KEYS) &&
			       (phase[i] == MEMBER || phase[i] == CHECK || phase[i] == VERIFY || phase[i] == GRANTED ||
				phase[i] == CHANGED || phase[i] == UNCLEAR || phase[i] == RESUME) ->
			ask(i, READ_RESERVATION, 0, 0)
	   }
	:: atomic { way[i] == 0 && phase[i] == RESERVE -> change(i, DO_RESERVE, key[i], 0) }
	:: atomic { way[i] == 0 && phase[i] == PREEMPT -> change(i, DO_PREEMPT, key[i], permit[i]) }
	:: atomic { way[i] == 0 && phase[i] == CONFIRM -> ask(i, READ_KEYS, key[i], 0) }
	:: atomic { way[i] == 0 && phase[i] == CHANGE -> change(i, DO_REGISTER, key[i], KEY(i, life[i] + 1)) }
	:: atomic { way[i] == 0 && phase[i] == REJOIN -> change(i, DO_REGISTER, left[i], key[i]); left[i] = NONE }
	:: atomic { way[i] == 0 && phase[i] == PROVE -> ask(i, READ_KEYS, key[i], 0) }

	/* ---- answers ---- */
	:: atomic {
		way[i] == 2 ->
			if
			:: command[i] == READ_RESERVATION && phase[i] == MEMBER -> member_read(i)
			:: command[i] == READ_RESERVATION && (phase[i] == CHECK || phase[i] == VERIFY) -> taking_read(i)
			:: command[i] == READ_RESERVATION && phase[i] == GRANTED -> granted_read(i)
			:: command[i] == READ_RESERVATION && (phase[i] == CHANGED || phase[i] == UNCLEAR) -> changed_read(i)
			:: command[i] == READ_RESERVATION && phase[i] == RESUME ->
				if
				:: answer[i] == LOST
				:: else -> assert(answer[i] == key[i]); phase[i] = HOLD; served[i] = true
				fi
			:: command[i] == READ_KEYS && phase[i] == CONFIRM ->
				if
				:: answer[i] == LOST
				:: !fresh[i] || !ours[i] -> phase[i] = MEMBER
				:: else ->
					assert(answer[i] == 1);	/* else this node would be fenced */
					ours[i] = false;
					served[i] = false;
					phase[i] = HOLD
				fi
			:: command[i] == READ_KEYS && phase[i] == PROVE ->
				if
				:: answer[i] == LOST
				:: answer[i] == 1 -> phase[i] = MEMBER
				/* READ FULL STATUS: a key that an earlier life left on our path is replaced */
				:: else -> phase[i] = REJOIN; left[i] = registered[i]
				fi
			:: command[i] == DO_RESERVE -> phase[i] = MEMBER
			:: command[i] == DO_PREEMPT -> phase[i] = VERIFY
			:: command[i] == DO_REGISTER && phase[i] == CHANGE ->
				if
				:: answer[i] == DONE -> phase[i] = CHANGED
				:: answer[i] == CONFLICT -> replaced(i); phase[i] = REJOIN
				:: answer[i] == LOST -> phase[i] = UNCLEAR
				fi
			:: command[i] == DO_REGISTER && phase[i] == REJOIN ->
				phase[i] = PROVE	/* a conflict too: an answer of ours was lost */
			:: else	/* the phase went on meanwhile */
			fi;
			answered(i)
	   }

	/* ---- asking and being granted ---- */
	:: atomic {
		phase[i] == MEMBER && request[i] && grants[i] != 0 ->
			j = 1;
			do
			:: grants[i] & BIT(j) -> break
			:: (grants[i] >> (j + 1)) != 0 -> j++	/* any of them */
			od;
			permit[i] = j;
			j = 0;
			doubt(i);
			phase[i] = CHECK
	   }
	:: atomic { phase[i] == MEMBER && request[i] && giveups > 0 -> giveups--; close_request(i) }

	/* ---- holding ---- */
	:: atomic { phase[i] == HOLD && !xfs[i] && !served[i] -> xfs[i] = true; served[i] = true; check() }
	:: atomic { phase[i] == HOLD && xfs[i] && WAITING(i) -> xfs[i] = false }
#ifndef PLANTED_NEVER_GRANT
	:: atomic {
#ifdef PLANTED_GRANT_WHILE_ATTACHED
		phase[i] == HOLD && served[i] ->
#else
		phase[i] == HOLD && served[i] && !xfs[i] ->
#endif
			/* To any who waits; whose request was given up meanwhile: our own turn again. */
			if
			:: request[0] && i != 0 -> j = 0
			:: request[1] && i != 1 -> j = 1
#if NODES > 2
			:: request[2] && i != 2 -> j = 2
#endif
			:: else -> j = NODES
			fi;
			if
			:: j < NODES ->
				grants[j] = grants[j] | BIT(key[i]);
				grantee[i] = key[j];
				doubt(i);
				phase[i] = GRANTED
			:: else -> served[i] = false
			fi;
			j = 0
	   }
#endif
	:: atomic {
		phase[i] == GRANTED && life[i] < KEYS && (timeouts > 0 || !USABLE(i)) ->
			if
			:: !USABLE(i)
			:: else -> timeouts--
			fi;
			grantee[i] = NONE;
#ifdef PLANTED_GRANT_IS_JUST_FORGOTTEN
			served[i] = false;
			phase[i] = HOLD
#else
			phase[i] = CHANGE
#endif
	   }

#ifdef PLANTED_OLD_ANSWER
	/* "The request was closed" is believed, and what was asked before decides. */
	:: atomic { phase[i] == GRANTED && way[i] == 2 && !request[NODE(grantee[i])] -> grantee[i] = NONE; phase[i] = MEMBER }
#endif

	/* ---- a daemon dies; the next one knows the key, and whether XFS is mounted ---- */
	:: atomic {
		deaths > 0 && life[i] < KEYS && orphan[i] == NOTHING ->
			deaths--;
			if
			:: way[i] == 1 && command[i] >= DO_REGISTER ->
				orphan[i] = command[i];
				orphan_from[i] = from[i];
				orphan_to[i] = to[i]
			:: else
			fi;
			answered(i);
			close_request(i);
			ours[i] = false;
			grantee[i] = NONE;
			if
			:: xfs[i] -> phase[i] = RESUME
			/* It may have granted, and what is under way may come: a new key makes an end to both. */
			:: !xfs[i] && registered[i] == key[i] -> phase[i] = CHANGE
			:: else -> replaced(i); phase[i] = REJOIN
			fi
	   }
	od
}

init
{
	byte n = 0;

	atomic {
		do
		:: n < NODES ->
			life[n] = 1;
			key[n] = KEY(n, 1);
			registered[n] = key[n];
			n++
		:: else -> break
		od;
		n = 0;
		do
		:: n < NODES ->
			run array(n);
			run node(n);
			n++
		:: else -> break
		od
	}
}

/* Whatever happens, everybody has the volume again and again. */
ltl turns { []<>xfs[0] && []<>xfs[1] }
