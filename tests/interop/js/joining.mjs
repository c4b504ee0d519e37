// What a client of native events has joined, by the rule for readers where nothing but whole texts is taken back.

export class Joined {
  text = "";
  ids = [];
  end = null;
  gaps = 0;

  /** Takes one event: its `id`, none or empty of an event of the connection, and its data. */
  take(id, data) {
    const event = JSON.parse(data);
    if (event.type === "gap") this.gaps += 1;
    if (event.type === "queued" || event.type === "gap") return;
    this.ids.push(id);
    if (event.type === "stream_start" && event.keep_blocks === 0) this.text = "";
    if (event.type === "snapshot") this.text = event.text;
    if (event.type === "text") this.text += event.text;
    if (event.type === "stream_end" || event.type === "error") this.end = event;
  }
}

/** Follows all URLs of the command line at once, and prints what each `follow(url)` has joined. */
export async function main(follow) {
  const running = setInterval(() => {}, 1000); // a client that waits to reconnect does not keep Node running
  console.log(JSON.stringify(await Promise.all(process.argv.slice(2).map(follow))));
  clearInterval(running);
}
