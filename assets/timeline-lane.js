/* The shots of a project on one time axis: a ruler, their frames and sound, a playhead, edges that trim, places to drag to. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, refill, api, attempt } = studio;
  const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300];
  const KEYS = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 };
  const GONE_S = 0.5; // how wide a shot is that has nothing to show
  const WIDEST = 150; // pixels a second where everything fits
  const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
  const sounds = new Map(); // loudness by clip

  studio.takeOf = (shot) => shot.takes.find((take) => take.id === shot.chosen);

  /* Minutes, seconds and hundredths, as a counter runs. */
  studio.timecode = (seconds) => {
    const hundredths = Math.round(100 * seconds), pad = (value) => String(value).padStart(2, "0");
    return `${Math.floor(hundredths / 6000)}:${pad(Math.floor(hundredths / 100) % 60)}.${pad(hundredths % 100)}`;
  };

  /* `shots` and `current` say what to draw, `press`, `change`, `move` what a person does, `seek` that the playhead was put somewhere. */
  studio.shotLane = ({ shots, current, press, change, move, seek }) => {
    let zoom = 1,
      at = 0,
      dragged = null,
      trimming = null;

    const long = (shot) => shot.duration_s ?? GONE_S;
    const beginOf = (index) => shots().slice(0, index).reduce((sum, shot) => sum + long(shot), 0);
    const total = () => beginOf(shots().length);
    const indexOf = (id) => shots().findIndex((shot) => shot.id === id);
    const scale = () => zoom * clamp((rail.clientWidth - 12) / Math.max(0.1, total()), 12, WIDEST);
    const clock = (shot) => (shot.duration_s === null ? "gone" : `${shot.duration_s.toFixed(2)} s`);

    /* The shot below a moment of the film, and the second of its take that is shown then. */
    function under(moment) {
      const all = shots();
      let begin = 0;
      for (const [index, shot] of all.entries()) {
        if (moment < begin + long(shot) - 1e-6 || index === all.length - 1)
          return { shot, index, begin, second: (shot.start_s ?? 0) + clamp(moment - begin, 0, long(shot)) };
        begin += long(shot);
      }
      return null;
    }

    /* ---- the playhead ---- */
    const head = h("div", { class: "lane-head", "aria-hidden": "true" });
    const counter = h("output", { class: "counter", "aria-label": "Playhead", "aria-live": "off" });
    const ruler = h("div", { class: "ruler", role: "slider", tabindex: "0", "aria-label": "Playhead of the project", "aria-valuemin": "0" });

    function drawHead() {
      const end = total();
      at = clamp(at, 0, end);
      head.style.left = `${at * scale()}px`;
      counter.textContent = `${studio.timecode(at)} / ${studio.timecode(end)}`;
      ruler.setAttribute("aria-valuemax", end.toFixed(2));
      ruler.setAttribute("aria-valuenow", at.toFixed(2));
      ruler.setAttribute("aria-valuetext", counter.textContent);
    }

    /* To a frame of the shot that stands there; `settled` is false while the hand is still moving. */
    function go(moment, settled = true) {
      const found = under(clamp(moment, 0, total()));
      if (!found) return;
      const rate = studio.takeOf(found.shot).frame_rate ?? 1, first = Math.round((found.shot.start_s ?? 0) * rate);
      const frame = clamp(Math.floor(found.second * rate + 1e-3), first, Math.max(first, Math.round(((found.shot.start_s ?? 0) + long(found.shot)) * rate) - 1));
      at = found.begin + (frame - first) / rate;
      drawHead();
      seek(found.shot, frame, settled);
    }

    function scrub(event) {
      if (event.button !== 0) return;
      ruler.setPointerCapture(event.pointerId);
      const to = (point, settled) => go((point.clientX - lane.getBoundingClientRect().left) / scale(), settled);
      const follow = (point) => to(point, false);
      to(event, false);
      ruler.addEventListener("pointermove", follow);
      ruler.addEventListener("pointerup", (point) => (ruler.removeEventListener("pointermove", follow), to(point, true)), { once: true });
    }
    ruler.addEventListener("pointerdown", scrub);
    ruler.addEventListener("keydown", (event) => {
      const found = under(at);
      if (!(event.key in KEYS) || !found || event.altKey || event.ctrlKey || event.metaKey) return;
      const frame = 1 / (studio.takeOf(found.shot).frame_rate ?? 1);
      const before = under(Math.max(0, at - 1e-3)), back = 1 / (studio.takeOf(before.shot).frame_rate ?? 1);
      go({ ArrowLeft: at - back + 1e-3, ArrowRight: at + frame + 1e-3, Home: 0, End: total() }[event.key]);
      event.preventDefault();
    });

    function drawRuler() {
      const step = STEPS.find((each) => each * scale() >= 64) ?? 300, wide = Math.max(rail.clientWidth / scale(), total()), ticks = [];
      for (let index = 0; index * step <= wide && index < 600; index += 1)
        ticks.push(h("i", { style: `left: ${index * step * scale()}px` }, step < 1 ? `${(index * step).toFixed(1)} s` : studio.timecode(index * step).slice(0, -3)));
      ruler.replaceChildren(...ticks);
    }

    /* ---- one shot: its frames, its sound, its edges ---- */
    function film(shot, take) {
      if (take.state === "gone") return icon("film");
      if (!take.has_video) return null;
      const wide = take.duration_s * scale(), frames = clamp(Math.round(wide / ((58 * take.width) / take.height)), 1, 60);
      return h("img", {
        class: "shot-film", src: `/api/v1/clips/${take.id}/strip?frames=${frames}`, alt: "", draggable: "false",
        style: `width: ${wide}px; left: ${-(shot.start_s ?? 0) * scale()}px`,
      });
    }

    async function drawWave(canvas, shot, take) {
      const points = clamp(Math.round(50 * take.duration_s), 1, 4000);
      if (!sounds.has(take.id)) sounds.set(take.id, api(`/clips/${take.id}/waveform?points=${points}`).then((found) => found.peaks));
      const peaks = await attempt(() => sounds.get(take.id));
      if (!peaks) return sounds.delete(take.id);
      const share = points / take.duration_s, first = Math.floor((shot.start_s ?? 0) * share);
      const part = peaks.slice(first, Math.max(first + 1, Math.round(((shot.start_s ?? 0) + long(shot)) * share)));
      const width = (canvas.width = clamp(Math.round(2 * long(shot) * scale()), 2, 4096)), height = (canvas.height = 52), ink = canvas.getContext("2d");
      ink.fillStyle = getComputedStyle(canvas).color; // the ground is dark in both themes
      part.forEach((peak, index) => {
        const half = Math.max(1, (peak * height) / 2 - 2), step = width / part.length;
        ink.fillRect(index * step, height / 2 - half, Math.max(1, step - 1), 2 * half);
      });
      return undefined;
    }

    function wave(shot, take) {
      const canvas = h("canvas", { class: "shot-wave", "aria-hidden": "true" });
      if (take.has_audio) drawWave(canvas, shot, take);
      return canvas;
    }

    /* Draws an edge to another frame; what follows moves along, the clip itself stays whole. */
    function trim(event, shot, side) {
      if (event.button !== 0) return;
      event.stopPropagation();
      const edge = event.currentTarget, tile = edge.closest(".shot"), take = studio.takeOf(shot), rate = take.frame_rate;
      const begun = { start: shot.start_s ?? 0, end: (shot.start_s ?? 0) + shot.duration_s }, x = event.clientX;
      trimming = { ...begun };
      edge.setPointerCapture(event.pointerId);
      const follow = (point) => {
        const moment = Math.round((begun[side] + (point.clientX - x) / scale()) * rate) / rate;
        if (side === "start") trimming.start = clamp(moment, 0, begun.end - 1 / rate);
        else trimming.end = clamp(moment, begun.start + 1 / rate, take.duration_s);
        tile.style.width = `${(trimming.end - trimming.start) * scale()}px`;
        tile.querySelector(".shot-film")?.style.setProperty("left", `${-trimming.start * scale()}px`);
        tile.querySelector(".shot-time").textContent = `${trimming.start.toFixed(2)} – ${trimming.end.toFixed(2)} s`;
      };
      const done = () => {
        edge.removeEventListener("pointermove", follow);
        const { start, end } = trimming;
        trimming = null;
        if (start === begun.start && end === begun.end) return draw();
        return change({ op: "trim_shot", shot: shot.id, start_s: start > 0 ? start : null, end_s: end < take.duration_s - 0.5 / rate ? end : null });
      };
      edge.addEventListener("pointermove", follow);
      edge.addEventListener("pointerup", done, { once: true });
      edge.addEventListener("pointercancel", () => ((trimming = null), draw()), { once: true });
    }

    function keyed(event, shot) {
      if (event.key === "Delete") change({ op: "remove_shot", shot: shot.id });
      else if (!(event.key in KEYS)) return;
      else if (event.altKey) move(shot.id, indexOf(shot.id) + KEYS[event.key]);
      else {
        const faces = [...row.querySelectorAll(".shot-face")];
        faces[clamp(indexOf(shot.id) + KEYS[event.key], 0, faces.length - 1)].focus();
      }
      event.preventDefault();
    }

    function tile(shot, index) {
      const take = studio.takeOf(shot), count = shot.takes.length, number = shot.takes.indexOf(take) + 1;
      const said = `Shot ${index + 1}: ${shot.name}, ${clock(shot)}${count > 1 ? `, take ${number} of ${count}` : ""}`;
      const edge = (side) => h("i", { class: `edge ${side}`, title: side === "start" ? "Drag to trim the beginning" : "Drag to trim the end", onpointerdown: (event) => trim(event, shot, side) });
      return h(
        "li",
        {
          class: `shot ${take.state}`, draggable: "true", style: `width: ${long(shot) * scale()}px`, "data-shot": shot.id,
          ondragstart: (event) => {
            if (trimming) return event.preventDefault();
            dragged = shot.id;
            event.dataTransfer.setData("text/plain", shot.name);
            event.dataTransfer.effectAllowed = "move";
            return undefined;
          },
          ondragend: () => {
            dragged = null;
            drawPlaces(null);
          },
        },
        h(
          "button",
          {
            type: "button", class: "shot-face", "aria-label": said, title: said, "aria-current": String(shot.id === current()), "data-key": shot.id,
            onclick: () => press(shot), onkeydown: (event) => keyed(event, shot),
          },
          h("span", { class: "shot-picture" }, film(shot, take)), take.state === "gone" ? null : wave(shot, take),
          h("span", { class: "shot-name" }, `${index + 1}  ${shot.name}`),
          h("span", { class: "shot-time" }, clock(shot)),
          count > 1 ? h("span", { class: "shot-takes" }, `${number} of ${count}`) : null,
        ),
        take.state === "gone" ? null : [edge("start"), edge("end")],
      );
    }

    /* ---- another order: where a dragged shot would stand, before the first whose middle lies to the right ---- */
    const row = h("ol", { class: "shots", "aria-label": "Shots" });
    function placeAt(event) {
      const tiles = [...row.querySelectorAll(".shot")];
      const found = tiles.findIndex((each) => event.clientX < each.getBoundingClientRect().left + each.offsetWidth / 2);
      return found < 0 ? tiles.length : found;
    }
    function drawPlaces(place) {
      [...row.children].forEach((each, index) => {
        each.classList.toggle("before", index === place);
        each.classList.toggle("after", index === row.children.length - 1 && place === row.children.length);
      });
    }
    row.addEventListener("dragover", (event) => {
      if (!dragged) return;
      event.preventDefault();
      drawPlaces(placeAt(event));
    });
    row.addEventListener("drop", (event) => {
      if (!dragged) return;
      event.preventDefault();
      const place = placeAt(event);
      move(dragged, place > indexOf(dragged) ? place - 1 : place);
    });

    /* ---- all of it ---- */
    const lane = h("div", { class: "lane" }, ruler, row, head);
    const rail = h("div", { class: "lane-rail" }, lane);

    function draw() {
      const count = shots().length;
      head.hidden = ruler.hidden = !count;
      if (!count) return row.replaceChildren(h("li", { class: "hint" }, "No shots yet. Open a clip above and press Add this clip; edits of it become takes of its shot."));
      if (!rail.clientWidth) return undefined; // hidden; drawn when it is seen
      lane.style.width = `${total() * scale()}px`;
      refill(row, shots().map(tile));
      drawRuler();
      return drawHead();
    }

    function zoomBy(by) {
      zoom = clamp(zoom * by, 1, 32);
      draw();
      rail.scrollLeft = at * scale() - rail.clientWidth / 2;
    }
    rail.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoomBy(event.deltaY < 0 ? 2 : 0.5);
    }, { passive: false });
    let seen = 0;
    new ResizeObserver(() => {
      if (rail.clientWidth === seen || !shots().length || trimming) return;
      seen = rail.clientWidth;
      draw();
    }).observe(rail);

    return {
      rail, counter, draw, zoomBy, under: () => under(at),
      /* The editor above stands at this frame of the shot's take. */
      stand: (shot, frame) => {
        const second = frame / studio.takeOf(shot).frame_rate - (shot.start_s ?? 0);
        at = beginOf(indexOf(shot.id)) + clamp(second, 0, long(shot));
        drawHead();
      },
    };
  };
})();
