/* Painting on a frame of the Edit tab: in colour, or a mask of what may change. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, api, attempt } = studio;
  const brush = { kind: null, size: 10, colour: "#e5452f", erases: false, past: [] };
  let ink = null;

  const paper = () => studio.editing.paper;

  /* A fresh sheet over the frame that is shown; nothing when no tool paints. */
  studio.paintOn = (kind) => {
    const { video } = studio.editing;
    brush.kind = kind;
    paper().hidden = !kind;
    if (!kind) return;
    video.pause();
    paper().width = video.videoWidth || studio.editing.now.clip.width;
    paper().height = video.videoHeight || studio.editing.now.clip.height;
    ink = paper().getContext("2d");
    brush.past = [];
    if (paper().onpointerdown) return;
    paper().onpointerdown = begin;
    video.addEventListener("seeked", () => brush.kind === "colour" && clear());
  };

  function clear() {
    brush.past = [];
    ink?.clearRect(0, 0, paper().width, paper().height);
  }

  /* The picture is letterboxed in the screen, and the canvas with it: from a place on the screen to one of the picture. */
  function place(event) {
    const box = paper().getBoundingClientRect();
    const scale = Math.min(box.width / paper().width, box.height / paper().height);
    const left = box.left + (box.width - scale * paper().width) / 2, top = box.top + (box.height - scale * paper().height) / 2;
    return [(event.clientX - left) / scale, (event.clientY - top) / scale];
  }

  function begin(event) {
    brush.past.push(ink.getImageData(0, 0, paper().width, paper().height));
    if (brush.past.length > 30) brush.past.shift();
    paper().setPointerCapture(event.pointerId);
    let [x, y] = place(event);
    const stroke = (at) => {
      const [toX, toY] = place(at);
      ink.globalCompositeOperation = brush.erases ? "destination-out" : "source-over";
      ink.strokeStyle = brush.kind === "mask" ? "#ffffff" : brush.colour;
      Object.assign(ink, { lineWidth: (brush.size * paper().width) / 128, lineCap: "round", lineJoin: "round" });
      ink.beginPath();
      ink.moveTo(x, y);
      ink.lineTo(toX + 0.01, toY);
      ink.stroke();
      [x, y] = [toX, toY];
    };
    stroke(event);
    paper().addEventListener("pointermove", stroke);
    paper().addEventListener("pointerup", () => paper().removeEventListener("pointermove", stroke), { once: true });
  }

  /* The painted frame, or the mask in white on black, as a stored image. */
  async function stored() {
    const sheet = h("canvas", { width: paper().width, height: paper().height }), draw = sheet.getContext("2d");
    if (brush.kind === "mask") draw.fillRect(0, 0, sheet.width, sheet.height);
    else draw.drawImage(studio.editing.video, 0, 0, sheet.width, sheet.height);
    draw.drawImage(paper(), 0, 0);
    return upload(await new Promise((made) => sheet.toBlob(made, "image/png")));
  }

  async function upload(file) {
    const body = new FormData();
    body.append("file", file, "frame.png");
    return (await api("/media", { method: "POST", body })).reference;
  }

  /* The row of brushes for one tool. `keep` takes the stored image; `kept` lists the keyframes so far. */
  studio.brushes = (kind, { keep, kept, drop, jump }) => {
    const list = h("div", { class: "chips", role: "list", "aria-label": "Kept frames" });
    const draw = () =>
      list.replaceChildren(
        ...kept().map(({ frame }) =>
          h("span", { class: "kept", role: "listitem" },
            button(`Frame ${frame}`, null, () => jump(frame), { text: true, class: "button small" }),
            button(`Leave out frame ${frame}`, "close", () => { drop(frame); draw(); }))),
      );
    const take = (making) =>
      attempt(async () => {
        await keep(await making());
        draw();
      });
    const size = h("input", {
      type: "range", min: "2", max: "40", value: String(brush.size), "aria-label": "Brush size",
      oninput: () => { brush.size = Number(size.value); },
    });
    const colour = h("input", { type: "color", value: brush.colour, "aria-label": "Brush colour", oninput: () => { brush.colour = colour.value; } });
    const eraser = button("Eraser", null, () => {
      brush.erases = !brush.erases;
      eraser.setAttribute("aria-pressed", String(brush.erases));
    }, { text: true, class: "button small", "aria-pressed": String(brush.erases) });
    const chooser = h("input", {
      type: "file", accept: "image/png,image/jpeg,image/webp", class: "hidden-file", "aria-label": "Replace this frame by an image",
      onchange: () => { if (chooser.files[0]) take(() => upload(chooser.files[0])); chooser.value = ""; },
    });
    return h(
      "div", { class: "brushes" },
      size, kind === "colour" ? colour : null, eraser,
      button("Undo a stroke", "undo", () => { const before = brush.past.pop(); if (before) ink.putImageData(before, 0, 0); }),
      button("Clear", null, () => clear(), { text: true, class: "button small quiet" }),
      kind === "colour" ? button("Use an image", "image", () => chooser.click(), { text: true, class: "button small" }) : null,
      kind === "colour" ? chooser : null,
      button(kind === "mask" ? "Keep this mask" : "Keep this frame", "check", () => take(stored), { text: true, class: "button small" }),
      list,
    );
  };
})();
