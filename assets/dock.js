/* The dock along the bottom: the queue on the left, the recent clips on the right. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, refill, api, attempt, words, places } = studio;

  const queueList = h("ol", { class: "queue-list" }),
    queueHead = h("div", { class: "dock-head" }),
    recentHead = h("div", { class: "dock-head" }),
    strip = h("div", { class: "strip", role: "list", "aria-label": "Recent clips" });

  function queueItem(job) {
    const { now, watch, cancel, retry, refresh } = studio;
    const watched = now.job?.id === job.id,
      running = job.state === "running",
      failed = job.state === "failed";
    const state = failed
      ? "failed"
      : running
        ? `${Math.round(100 * (job.progress?.fraction ?? 0))} %`
        : job.position === 1
          ? "next"
          : `${job.position}.`;
    const show = h(
      "button",
      {
        type: "button",
        class: "queue-name",
        "data-key": "show",
        "aria-label": `Show: ${job.request.prompt}`,
        "aria-current": watched ? "true" : null,
        onclick: () => watch(job),
      },
      h("span", { class: "queue-place" }, state),
      h("span", { class: "queue-prompt" }, job.request.prompt),
    );
    const up =
      job.state === "queued" && job.position > 1
        ? button("Move up", "up", () =>
            attempt(async () => {
              await api(`/jobs/${job.id}/move`, { method: "POST", json: { position: job.position - 1 } });
              await refresh();
            }),
          )
        : null;
    const again = failed ? button("Try again", "reuse", () => retry(job)) : null;
    const stop = failed
      ? button("Dismiss", "close", () => {
          now.dismissed.add(job.id);
          drawQueue();
        })
      : button(running ? "Cancel this clip" : "Take out of the queue", "close", () => cancel(job));
    return h(
      "li",
      { class: `queue-item ${job.state}`, "data-job": job.id, style: running ? `--done:${job.progress?.fraction ?? 0}` : null },
      show,
      again,
      up,
      stop,
    );
  }

  function drawQueue() {
    const { now, refresh } = studio;
    const { paused, jobs, queued, running, ready, problems } = now.queue,
      all = [...jobs, ...now.failed.filter((job) => !now.dismissed.has(job.id))];
    const others = queued + running - jobs.length;
    const flip = () =>
      attempt(async () => {
        await api(`/queue/${paused ? "resume" : "pause"}`, { method: "POST" });
        await refresh();
      });
    document.body.classList.toggle("has-job", jobs.length > 0);
    refill(
      queueHead,
      h("h2", {}, "Queue"),
      h("span", { class: "count" }, paused ? "paused" : jobs.length ? `${jobs.length}` : ""),
      button(paused ? "Resume" : "Pause", paused ? "play" : "pause", flip, {
        text: true,
        class: "button small quiet",
        "data-key": "flip",
        title: paused ? "Go on with the queue" : "Start no more clips; the running one finishes",
      }),
    );
    refill(queueList, all.map(queueItem));
    if (problems.length) queueList.replaceChildren(h("li", { class: "complaint" }, problems.join(" ")), ...queueList.children);
    else if (!all.length)
      queueList.replaceChildren(
        h(
          "li",
          { class: "hint" },
          paused
            ? "Paused. New clips wait until you press Resume."
            : others > 0
              ? `${others} of other people's clips are before yours.`
              : "Nothing waits. Press Generate as often as you like: clips line up here and are made one after another.",
        ),
      );
    const pill = document.getElementById("queue-pill");
    const busy = running
      ? `Making ${running === 1 ? "a clip" : `${running} clips`}${queued ? `, ${queued} waiting` : ""}`
      : queued
        ? `${queued} waiting`
        : ready
          ? "Ready"
          : "Getting ready";
    if (pill && problems.length) {
      pill.textContent = "No clips can be made now";
      pill.dataset.state = "away";
    } else if (pill) {
      pill.textContent = paused ? `${running ? "Making a clip, then paused" : "Paused"}${queued ? `, ${queued} waiting` : ""}` : busy;
      pill.dataset.state = paused ? "paused" : running || queued || !ready ? "busy" : "ready";
    }
  }

  function drawRecent() {
    const { now, showClip } = studio;
    refill(
      recentHead,
      h("h2", {}, "Recent"),
      h("span", { class: "spring" }),
      button("Open the Library", null, () => document.querySelector('[role=tab][data-tab-id="library"]')?.click(), {
        text: true,
        class: "button small quiet",
      }),
    );
    const tile = (clip) =>
      h(
        "div",
        { role: "listitem" },
        h(
          "button",
          {
            type: "button",
            class: "tile",
            "data-clip": clip.id,
            "aria-label": `Show clip: ${words.title(clip)}`,
            "aria-current": now.clip?.id === clip.id ? "true" : null,
            title: words.title(clip),
            onclick: () => showClip(clip, { play: true }),
          },
          h("img", { src: clip.urls.thumbnail, alt: "", loading: "lazy" }),
          h("span", { class: "tile-time" }, clip.has_video ? null : icon("wave"), words.seconds(clip.duration_s)),
        ),
      );
    refill(strip, now.clips.map(tile));
    if (!now.clips.length && now.ready)
      strip.replaceChildren(
        h("p", { class: "hint" }, "Finished clips line up here and stay in the Library until you delete them."),
      );
  }

  places.dock = (element) => {
    const dock = element.querySelector(".dock");
    dock.setAttribute("aria-label", "Queue and recent clips");
    dock.replaceChildren(
      h("div", { class: "queue" }, queueHead, queueList),
      h("div", { class: "recent" }, recentHead, strip),
    );
    drawQueue();
    drawRecent();
  };
  function sayAway() {
    const pill = document.getElementById("queue-pill");
    if (!pill) return;
    pill.textContent = "The studio does not answer";
    pill.dataset.state = "away";
  }

  Object.assign(studio, { drawQueue, drawRecent, sayAway });
})();
