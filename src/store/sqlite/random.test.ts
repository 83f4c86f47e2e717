import { randomSuite } from "../suite/random.ts";
import type { CommitJob } from "./commit-engine.ts";
import type { CommitDone, Committer } from "./committer.ts";
import { openScratchStore } from "./scratch.ts";

const full = { errcode: 13, message: "database or disk is full" };

randomSuite("sqlite", { open: openScratchStore, rounds: 150 });

let failing = false;
randomSuite("sqlite with a disk that is full at times", {
  open: () => openScratchStore({ aroundCommitter: failsAtTimes }),
  rounds: 300,
  disturb(random) {
    failing = random() < 0.3;
  },
});

/** Fails jobs as a full disk does. */
function failsAtTimes(committer: Committer): Committer {
  return {
    submit(job: CommitJob, done: CommitDone) {
      if (failing) setImmediate(done, full, false);
      else committer.submit(job, done);
    },
    close: () => committer.close(),
  };
}
