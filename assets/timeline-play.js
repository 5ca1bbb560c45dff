/* The shots of a project played one after the other, each between its in and out; the next one is loaded meanwhile. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, toast } = studio;

  studio.playShots = (project) => {
    const shots = project.shots.filter((shot) => shot.takes.find((take) => take.id === shot.chosen).state !== "gone");
    if (!shots.length) return toast("There is nothing to play yet. Add a clip first.");
    const begun = []; // the second of the film at which each shot begins
    shots.reduce((at, shot, index) => ((begun[index] = at), at + shot.duration_s), 0);
    const total = begun.at(-1) + shots.at(-1).duration_s;
    const screens = [0, 1].map(() => h("video", { playsinline: true, preload: "auto", tabindex: "-1" }));
    const done = h("i");
    const caption = h("output", { class: "counter" });
    const loop = button("Loop", "reuse", () => loop.setAttribute("aria-pressed", String(!isLooped())), { "aria-pressed": "false" });
    const isLooped = () => loop.getAttribute("aria-pressed") === "true";
    const toggle = button("Play or pause the project", "pause", () => (screen().paused ? screen().play() : screen().pause()));
    const whole = h(
      "dialog", { class: "film", "aria-label": `${project.name}, all shots` },
      h("div", { class: "screen" }, screens),
      h("div", { class: "bar", "aria-hidden": "true" }, done),
      h(
        "div", { class: "film-bar" }, toggle,
        button("The shot before", "back", () => show(Math.max(0, at - 1))), button("The next shot", "on", () => next()),
        loop, caption, h("span", { class: "spring" }), button("Close", "close", () => whole.close()),
      ),
    );
    let at = -1;
    const screen = () => screens[at % 2];

    const load = (index) => {
      const video = screens[index % 2], shot = shots[index];
      if (!shot || video.dataset.shot === shot.id) return;
      video.dataset.shot = shot.id;
      video.src = `/api/v1/clips/${shot.chosen}/file#t=${shot.start_s ?? 0}`;
    };
    function show(index) {
      screens.forEach((video) => video.pause());
      at = index;
      load(at);
      screens.forEach((video, number) => (video.hidden = number !== at % 2));
      screen().currentTime = shots[at].start_s ?? 0;
      screen().play().catch(() => {});
      load(at + 1);
      caption.textContent = `${at + 1} of ${shots.length} · ${shots[at].name}`;
    }
    const next = () => (at + 1 < shots.length ? show(at + 1) : isLooped() ? show(0) : screen().pause());
    function follow() {
      if (!whole.open) return;
      const shot = shots[at], start = shot.start_s ?? 0, seen = screen().currentTime - start;
      done.style.width = `${(100 * (begun[at] + Math.min(Math.max(0, seen), shot.duration_s))) / total}%`;
      const isOver = screen().ended || seen >= shot.duration_s;
      if (isOver && !(screen().paused && at + 1 === shots.length && !screen().ended)) next();
      requestAnimationFrame(follow);
    }
    for (const video of screens) {
      video.addEventListener("play", () => toggle.replaceChildren(studio.icon("pause")));
      video.addEventListener("pause", () => video === screen() && toggle.replaceChildren(studio.icon("play")));
    }
    whole.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") show(Math.max(0, at - 1));
      else if (event.key === "ArrowRight") next();
      else if (event.key === " " && event.target === whole) toggle.click();
      else return;
      event.preventDefault();
    });
    whole.addEventListener("close", () => {
      screens.forEach((video) => video.removeAttribute("src"));
      whole.remove();
    });
    studio.editing.video.pause();
    document.body.append(whole);
    whole.showModal();
    show(0);
    requestAnimationFrame(follow);
    return undefined;
  };
})();
