/* limits.h - every named limit of Triarch, in one place (docs/limits.md is its table).
 *
 * Beyond a limit the answer is a clear error (too_large, busy, …) before memory is allocated,
 * and nothing acknowledged is dropped.  Units are in the names.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define KIB 1024ul
#define MIB (1024ul * KIB)

/* RPC */
#define LIMIT_FRAME_BYTES          (1 * MIB) /* one framed message, without its length word */
#define LIMIT_HELLO_BYTES          (4 * KIB)   /* the first frame of a connection */
#define LIMIT_FRAME_DEPTH          8           /* nesting of a MessagePack value */
#define LIMIT_SNAPSHOT_CHUNK_BYTES (512 * KIB) /* fits a frame with its header */
#define LIMIT_SESSIONS             65536
#define LIMIT_SESSIONS_SPARE       64 /* beyond it, for masters and who has not said hello */
#define LIMIT_REQUESTS_WAITING     65536
#define LIMIT_REQUESTS_BYTES       (64 * MIB) /* of them; then no more jobs are taken */
#define LIMIT_RESERVED_REQUESTS    8192       /* above it, for all but new jobs */
#define LIMIT_RESERVED_BYTES       (16 * MIB)
#define LIMIT_ORDERS               32768      /* stops or acks in one frame */
#define LIMIT_SESSION_OUT_BYTES    (16 * MIB) /* queued to one peer that does not read */
#define LIMIT_ANSWERS_BYTES        (1 * MIB) /* queued to a client; then it is not read */
#define LIMIT_LISTED_BYTES         (16 * KIB) /* of listings, made in one turn of a master */
#define LIMIT_LISTED_ELEMENTS      100        /* looked at for them */
#define LIMIT_LISTED_PAUSE_MS      2          /* to the next ones while commands wait */
#define LIMIT_TURN_RANK_US         2000 /* to read, and to write, for one rank in a turn */
#define LIMIT_PEER_OUT_BYTES       (64 * MIB) /* queued to another master; then dropped */
#define LIMIT_CONNECT_MS           5000       /* to resolve a name and connect */
#define LIMIT_HELLO_MS             5000  /* from connected to the other side's hello */
#define LIMIT_LINGER_MS            1000  /* for the other side to read our last words */
#define LIMIT_UNACKNOWLEDGED_MS    30000 /* TCP: sent and not acknowledged, then cut */
#define LIMIT_PEER_SILENCE_MS      3000 /* of another master, then its connection is cut */
#define LIMIT_SNAPSHOT_STALL_MS    30000     /* a transfer that does not move */
#define LIMIT_SNAPSHOT_QUEUE_BYTES (4 * MIB) /* received and not on disk */

/* HTTP */
#define LIMIT_HTTP_CONNECTIONS 1024
#define LIMIT_HTTP_HEAD_BYTES  (32 * KIB) /* memory for request line and headers */
#define LIMIT_HTTP_IDLE_MS     30000
#define LIMIT_LINES_BYTES      (8 * MIB)   /* of a log, to find its last lines */
#define LIMIT_TOP_TASKS        100000      /* shown by `triarch top` */
#define LIMIT_FILES_PAGE       1000        /* entries of a directory in one answer */
#define LIMIT_FILES_TARGETS    (256 * KIB) /* of what links of one answer lead to */
#define LIMIT_FILES_LISTED     100000 /* entries of one directory by `triarch files ls` */
#define LIMIT_LOGS_AT_ONCE     512    /* tasks of one `triarch logs` */
#define LIMIT_ATTEMPTS_LISTED  1000   /* numbers of attempts of a task in one answer */
#define LIMIT_AGENTS_ASKED     64     /* at once, for an earlier attempt */
#define LIMIT_LOG_LINE_BYTES   65536 /* held of a line of one of several tasks */

/* Log */
#define LIMIT_ENTRY_BYTES         (256 * KIB)
#define LIMIT_COMMAND_BYTES       (128 * KIB)
#define LIMIT_SPEC_BYTES          (127 * KIB) /* a packed job_spec or agent_spec in a command */
#define LIMIT_PLACEMENTS          4096 /* in one command */
#define LIMIT_UPDATES             400 /* in one command, and in one frame of an agent */
#define LIMIT_UNCOMMITTED_ENTRIES 1024
#define LIMIT_INFLIGHT_ENTRIES    256  /* sent to one follower and not acknowledged */
#define LIMIT_TRAILING_ENTRIES    8192 /* kept behind a snapshot, for slow followers */
#define LIMIT_TRAILING_BYTES      (64 * MIB) /* … with payloads of at most so many */
#define LIMIT_LOG_SNAPSHOT_BYTES  (16 * MIB) /* log behind a snapshot that starts one */
#define LIMIT_LOG_CACHE_BYTES     (16 * MIB) /* newest payloads kept in memory */
#define LIMIT_READ_BYTES          (1 * MIB)  /* one read-back of entries */
#define LIMIT_APPEND_BYTES        (512 * KIB)   /* payload of one AppendEntries */
#define LIMIT_USAGES              1000000       /* runs whose usage a leader keeps */
#define LIMIT_LOG_FILE_BYTES      (16384 * MIB) /* address space of log/data.mdb */
#define LIMIT_SNAPSHOT_FILE_BYTES (65536 * MIB) /* of snap/data.mdb */
#define LIMIT_MASTERS             5
#define LIMIT_TERM                (1ull << 32) /* nobody elects so often: a lie */

/* State */
#define LIMIT_NAME_BYTES       255
#define LIMIT_KEY_BYTES        128
#define LIMIT_ARGV_ENV_BYTES   (64 * KIB)
#define LIMIT_ARGS             4096
#define LIMIT_TASKS_PER_JOB    1000000
#define LIMIT_TASKS            4000000
#define LIMIT_JOBS             4000000
#define LIMIT_AGENTS           65536
#define LIMIT_ATTRIBUTES       64
#define LIMIT_ATTRIBUTE_BYTES  255 /* a name, or a value */
#define LIMIT_PORT_RANGES      16
#define LIMIT_MESSAGE_BYTES    255 /* the text of a task update */
#define LIMIT_PLACE_AHEAD      1024 /* a placement is this near to the tasks placed before */
#define LIMIT_TOMBSTONES       2000000
#define LIMIT_EXPIRED_KEYS     4096 /* by one command */
#define LIMIT_TOMBSTONE_HOURS  24
#define LIMIT_RESOURCE         (1ull << 53) /* of one kind, in its unit: exact in JSON */
#define LIMIT_AGENT_CPUS       65536        /* more on one machine is a mistake */
#define LIMIT_AGENT_GPUS       1024
#define LIMIT_JOB_FILE_BYTES   (1 * MIB) /* YAML or JSON */
#define LIMIT_JOB_FILE_DEPTH   8         /* nesting of its values */
#define LIMIT_KILL_GRACE_MS    (24ull * 3600 * 1000)
#define LIMIT_DRAIN_MS         (365ull * 24 * 3600 * 1000)
#define LIMIT_JOB_TIME_MS      (365ull * 24 * 3600 * 1000) /* any other time in a job */
#define LIMIT_JOB_TEXT_BYTES   (32 * KIB) /* sources, paths, checks: together */
#define LIMIT_SOURCE_BYTES     4096       /* a URL, or a path */
#define LIMIT_USER_BYTES       32         /* a name of a user */
#define LIMIT_TASK_PORTS       64         /* of one task */
#define LIMIT_CUSTOM           16         /* custom resources of a task or an agent */
#define LIMIT_CUSTOM_BYTES     64         /* a name of one */
#define LIMIT_ROLES            1024
#define LIMIT_ROLE_BYTES       64    /* a name of one */
#define LIMIT_OWNER_BYTES      64    /* a name of one */
#define LIMIT_VICTIMS          64    /* attempts that are preempted for one task */
#define LIMIT_FAILURES         65536 /* that are remembered */
#define LIMIT_HISTORIES        16384 /* of roles and names of jobs */
#define LIMIT_LISTED_RANGES    1024  /* of ports in use, in a listing of agents */
#define LIMIT_LISTED_CUSTOM    64    /* custom resources in use, likewise */
#define LIMIT_AFTER            64    /* jobs that a job waits for */
#define LIMIT_SET_JOBS         1024  /* submitted as one */
#define LIMIT_PARAMETERS       64    /* of a job of which others are made */
#define LIMIT_SCHEDULES        65536
#define LIMIT_SYSTEM_JOBS      256   /* each may have a task on every agent */
#define LIMIT_CRON_BYTES       255   /* of the fields of a schedule */
#define LIMIT_ZONE_BYTES       64    /* a name of a time zone */
#define LIMIT_ZONE_FILE_BYTES  65536 /* what is read of one */
#define LIMIT_ZONES            4096  /* that a leader reads */
#define LIMIT_SLOT_LATE_MS     60000 /* later it was missed */
#define LIMIT_SLOTS_MADE_UP    100   /* of those that were */
#define LIMIT_RELEASES         4096  /* jobs told in one entry of one that ended */
#define LIMIT_PLAN_REMOVALS    64    /* kinds of agents that one plan leaves out */
#define LIMIT_PLAN_WHY_BYTES   512   /* of a text in an answer */
#define LIMIT_PLAN_MS          20000 /* that making one may take */
#define LIMIT_ARTIFACTS        32
#define LIMIT_ARTIFACT_BYTES   (1ull << 40)
#define LIMIT_VOLUMES          32
#define LIMIT_CHECKS           8
#define LIMIT_CHECK_FAILURES   1000
#define LIMIT_CHECK_TIMEOUT_MS 60000 /* of one check */
#define LIMIT_CONSTRAINTS      16
#define LIMIT_AFFINITIES       16
#define LIMIT_SPREADS          4
#define LIMIT_APARTS           16    /* names in anti_affinity */
#define LIMIT_CONDITION_VALUES 64    /* of `in` */
#define LIMIT_WEIGHT           100   /* of an affinity and the like */
#define LIMIT_REGEXP_STEPS     1000  /* of one search for a regular expression */
#define LIMIT_DISTINCT_TASKS   65536 /* of a job with `distinct` or `spread` */
#define LIMIT_GANG_TASKS       1024 /* that start at once; in one round and one command */
#define LIMIT_LEASE_MIN_MS     2000 /* four heartbeats */
#define LIMIT_LEASE_GRACE_MS   1000 /* at least: twice what a leader may oversleep */
#define LIMIT_RESTART_MS       100  /* from one restart to the next, on the average */
#define LIMIT_RESCHEDULE_MS    1000 /* from one new attempt to the next, likewise */
#define LIMIT_DRIFT_PERMILLE   500

/* Agent */
#define LIMIT_SANDBOX_FILES    1000000 /* of a running task, with directories */
#define LIMIT_SANDBOX_DEPTH    128     /* directories in directories there */
#define LIMIT_USERS_KNOWN      64      /* looked up by an agent and kept for a minute */
#define LIMIT_USER_GROUPS      1024    /* supplementary ones of a user of tasks */
#define LIMIT_USER_LOOKUPS     8       /* of an agent, at one time */
#define LIMIT_USER_LOOKUP_MS   5000    /* that a start waits for its user's */
#define LIMIT_CHECK_LOOKUP_MS  2000    /* that a check does */
#define LIMIT_TASK_PIDS        4096    /* processes and threads of a task, by default */
#define LIMIT_AGENT_RUNS       65536   /* of one agent, with unacknowledged ones */
#define LIMIT_CLAIMS           64      /* as many as a word has bits */
#define LIMIT_CLAIM_PLACES     4096    /* of gangs, in all claims */
#define LIMIT_MOVES            16      /* of those, for tasks that are on their way */
#define LIMIT_AGENT_STARTING   16      /* runs that are started at one time */
#define LIMIT_AGENT_PREPARING  32      /* of those with steps before their command */
#define LIMIT_AGENT_PREPARE_MS 2000    /* then such a start does not count any more */
#define LIMIT_AGENT_CHECKS     64      /* at one time */
#define LIMIT_JOB_CHECKS       16      /* of those, of one job */
#define LIMIT_CHECK_BYTES      65536   /* taken of an answer over HTTP */
#define LIMIT_CHECK_SAID_BYTES 80      /* shown of what a failing command wrote */
#define LIMIT_SANDBOXES_KEPT   100000  /* of runs that ended and are acknowledged */
#define LIMIT_SANDBOX_YOUNG_MS 600000  /* after a run ended: not removed for disk */
#define LIMIT_TASK_LOG_BYTES   (64 * MIB) /* one log of a task, then its beginning goes */
#define LIMIT_USAGE_PAGE       1000       /* runs in one answer over HTTP */
#define LIMIT_USAGE_REPORTS    4096       /* runs of an agent in one frame */
#define LIMIT_LOG_SAMPLES      65536 /* times kept of one log; then every second one */

/* Artifacts and images */
#define LIMIT_FETCH_REDIRECTS    5
#define LIMIT_ARTIFACT_ENTRIES   100000        /* in an archive that is unpacked */
#define LIMIT_IMAGE_BYTES        (16384 * MIB) /* of its files; also of its tar */
#define LIMIT_IMAGE_ENTRIES      2000000
#define LIMIT_IMAGE_LAYERS       256
#define LIMIT_IMAGE_CPU          1000 /* thousandths of one, at least, while it is made */
#define LIMIT_IMAGE_JSON_BYTES   (4 * MIB) /* index, manifest, configuration */
#define LIMIT_IMAGE_MS           1800000   /* to fetch and unpack it */
#define LIMIT_CONTAINER_BEGIN_MS 30000     /* of its process 1, to become the command */
#define LIMIT_IMAGE_YOUNG_MS     1800000 /* after it was wanted: not removed for others */

/* exec */
#define LIMIT_EXEC_SESSIONS      100         /* of one agent */
#define LIMIT_EXEC_TASK_SESSIONS 32          /* in one task */
#define LIMIT_EXEC_CONNECTIONS   256         /* to an agent's RPC port */
#define LIMIT_EXEC_CHUNK_BYTES   (16 * KIB)  /* of data in one message */
#define LIMIT_EXEC_WINDOW_BYTES  (128 * KIB) /* one way, sent and not credited */
#define LIMIT_EXEC_HANGUP_MS     2000        /* from SIGHUP to SIGKILL */
#define LIMIT_EXEC_PING_MS       5000 /* between two questions whether the agent is there */
#define LIMIT_EXEC_SILENCE_MS    15000 /* of an agent, until its client gives up */
#define LIMIT_EXEC_START_MS      10000 /* until a container that starts is there */

#endif
