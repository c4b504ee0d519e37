// Follows generations as durable streams with the npm package `@durable-streams/client`, in the mode that LIVE names.
//
// The client resumes within its session what ends cleanly; from a cut connection it throws, and whoever uses it goes on behind
// the last message, as the session's own offset may be ahead of that. `repeats` is how many messages it gave twice: each has its
// cursor, by which they are dropped. It also asks ahead: a session that threw may have another request open, which nobody reads
// or ends but by `cancel`; and whatever it threw it rejects `closed` with too, which ends Node where nobody looks.

import { stream } from "@durable-streams/client";
import { Joined, main } from "./joining.mjs";

// It takes streams that end soon for those of a proxy that holds them back, and would read by polling.
const RESILIENCE = { maxShortConnections: 1000, backoffMaxDelay: 10, logWarnings: false };

await main(async (url) => {
  const joined = new Joined();
  const seen = new Set();
  let offset = "-1";
  let repeats = 0;
  let sessions = 0;
  while (!joined.end) {
    sessions += 1;
    let session;
    try {
      session = await stream({ url, offset, live: process.env.LIVE, json: true, sseResilience: RESILIENCE });
      session.closed.catch(() => {});
      for await (const message of session.jsonStream()) {
        if (seen.has(message.id)) repeats += 1;
        else joined.take(message.id, JSON.stringify(message));
        seen.add(message.id);
        if (joined.end) break;
        const [attempt, seq] = message.id.split("-");
        offset = `${attempt.padStart(15, "0")}-${seq.padStart(10, "0")}`;
      }
    } catch {
      // from behind the last message
    } finally {
      session?.cancel();
    }
    if (!joined.end) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { ...joined, repeats, sessions };
});
