/* Painting on a frame of the Edit tab: in colour and on layers, or a mask of what may change. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, attempt } = studio;
  const brush = { kind: null, size: 10, colour: "#e5452f", erases: false, past: [], layers: [], at: 0 };
  const MOST_LAYERS = 8;

  const paper = () => studio.editing.paper;
  const layer = () => brush.layers[brush.at];
  let layersChanged = () => {};

  const blank = (name) => ({ name, sheet: h("canvas", { width: paper().width, height: paper().height }), hidden: false });

  /* A fresh sheet over the frame that is shown; nothing when no tool paints. */
  studio.paintOn = (kind) => {
    const { video } = studio.editing;
    brush.kind = kind;
    paper().hidden = !kind;
    if (!kind) return;
    video.pause();
    paper().width = video.videoWidth || studio.editing.now.clip.width;
    paper().height = video.videoHeight || studio.editing.now.clip.height;
    clear();
    if (paper().onpointerdown) return;
    paper().onpointerdown = begin;
    video.addEventListener("seeked", () => brush.kind === "colour" && clear());
  };

  function clear() {
    Object.assign(brush, { past: [], layers: [blank("Layer 1")], at: 0 });
    draw();
    layersChanged();
  }

  /* All layers that are shown, from the lowest up. */
  function draw() {
    const ink = paper().getContext("2d");
    ink.clearRect(0, 0, paper().width, paper().height);
    for (const { sheet, hidden } of brush.layers) if (!hidden) ink.drawImage(sheet, 0, 0);
  }

  /* The picture is letterboxed in the screen, and the canvas with it: from a place on the screen to one of the picture. */
  function place(event) {
    const box = paper().getBoundingClientRect();
    const scale = Math.min(box.width / paper().width, box.height / paper().height);
    const left = box.left + (box.width - scale * paper().width) / 2, top = box.top + (box.height - scale * paper().height) / 2;
    return [(event.clientX - left) / scale, (event.clientY - top) / scale];
  }

  function begin(event) {
    const { sheet } = layer(), ink = sheet.getContext("2d");
    brush.past.push([sheet, ink.getImageData(0, 0, sheet.width, sheet.height)]);
    if (brush.past.length > 30) brush.past.shift();
    layer().hidden = false; // a stroke that nobody sees is none
    paper().setPointerCapture(event.pointerId);
    let [x, y] = place(event);
    const stroke = (at) => {
      const [toX, toY] = place(at);
      ink.globalCompositeOperation = brush.erases ? "destination-out" : "source-over";
      ink.strokeStyle = brush.kind === "mask" ? "#ffffff" : brush.colour;
      Object.assign(ink, { lineWidth: (brush.size * sheet.width) / 128, lineCap: "round", lineJoin: "round" });
      ink.beginPath();
      ink.moveTo(x, y);
      ink.lineTo(toX + 0.01, toY);
      ink.stroke();
      [x, y] = [toX, toY];
      draw();
    };
    stroke(event);
    layersChanged();
    paper().addEventListener("pointermove", stroke);
    paper().addEventListener("pointerup", () => paper().removeEventListener("pointermove", stroke), { once: true });
  }

  function undo() {
    const [sheet, before] = brush.past.pop() ?? [];
    if (!sheet) return;
    sheet.getContext("2d").putImageData(before, 0, 0);
    draw();
  }

  /* An image on a layer of its own, as large as fits. */
  async function lay(file) {
    const picture = await createImageBitmap(file).catch(() => {
      throw new studio.Failure(`${file.name} cannot be read as an image: choose a PNG, JPEG or WebP.`);
    });
    const made = blank(file.name), { width, height } = paper();
    const scale = Math.min(width / picture.width, height / picture.height), [wide, high] = [picture.width * scale, picture.height * scale];
    made.sheet.getContext("2d").drawImage(picture, (width - wide) / 2, (height - high) / 2, wide, high);
    add(made);
  }

  function add(made) {
    brush.at = brush.layers.push(made) - 1;
    draw();
    layersChanged();
  }

  function remove(index) {
    const [{ sheet }] = brush.layers.splice(index, 1);
    brush.past = brush.past.filter(([painted]) => painted !== sheet);
    brush.at = Math.min(brush.at, brush.layers.length - 1);
    draw();
    layersChanged();
  }

  /* The painted frame, or the mask in white on black, as a stored image. */
  async function stored() {
    const sheet = h("canvas", { width: paper().width, height: paper().height }), ink = sheet.getContext("2d");
    if (brush.kind === "mask") ink.fillRect(0, 0, sheet.width, sheet.height);
    else ink.drawImage(studio.editing.video, 0, 0, sheet.width, sheet.height);
    ink.drawImage(paper(), 0, 0);
    return studio.uploadImage(await new Promise((made) => sheet.toBlob(made, "image/png")), "image", "frame.png");
  }

  const chooser = (label, chosen) => {
    const input = h("input", {
      type: "file", accept: "image/png,image/jpeg,image/webp", class: "hidden-file", "aria-label": label,
      onchange: () => { if (input.files[0]) chosen(input.files[0]); input.value = ""; },
    });
    return input;
  };

  /* The layers, the lowest first: press one to paint on it, hide it, take it away. */
  function layerList() {
    const list = h("div", { class: "chips", role: "group", "aria-label": "Layers" });
    const image = chooser("Put an image on a layer of its own", (file) => attempt(() => lay(file)));
    layersChanged = () => {
      const isFull = brush.layers.length >= MOST_LAYERS;
      list.replaceChildren(
        ...brush.layers.map(({ name, hidden }, index) =>
          h("span", { class: "layer" },
            button(name, null, () => { brush.at = index; layersChanged(); }, { text: true, class: "button small", "aria-pressed": String(index === brush.at) }),
            button(hidden ? `Show ${name}` : `Hide ${name}`, hidden ? "plus" : "minus", () => { brush.layers[index].hidden = !hidden; draw(); layersChanged(); }),
            brush.layers.length > 1 ? button(`Take ${name} away`, "close", () => remove(index)) : null)),
        button("Add a layer", "plus", () => add(blank(`Layer ${1 + Math.max(0, ...brush.layers.map(({ name }) => Number(/^Layer (\d+)$/.exec(name)?.[1] ?? 0)))}`)), { disabled: isFull }),
        button("Lay an image over it", "image", () => image.click(), { disabled: isFull }),
        image,
      );
    };
    layersChanged();
    return list;
  }

  /* The row of brushes for one tool. What is painted goes to what `shelf.keeper` gives; `shelf.list` are the things kept so far; `changed` follows. */
  studio.brushes = (kind, shelf, changed) => {
    const list = h("div", { class: "chips", role: "list", "aria-label": "Kept frames" });
    const drawList = () =>
      list.replaceChildren(
        ...shelf.list().map(({ id, title, jump, strength }) =>
          h("span", { class: "kept", role: "listitem" },
            button(title, null, jump, { text: true, class: "button small" }),
            strength === undefined ? null : h("input", {
              class: "text", type: "number", min: "0.05", max: "1", step: "0.05", value: String(strength), title: "How closely it is followed; 1 shows exactly it",
              "aria-label": `How closely ${title.toLowerCase()} is followed`,
              onchange: ({ target }) => {
                target.value = String(Math.min(1, Math.max(0.05, Number(target.value) || 1)));
                shelf.follow(id, Number(target.value));
                changed();
              },
            }),
            button(`Leave out ${title.toLowerCase()}`, "close", () => { shelf.drop(id); drawList(); changed(); }))),
      );
    const take = (making, atEnd = false) =>
      attempt(async () => {
        const keep = shelf.keeper(atEnd); // of the clip and frame that are shown now, whatever is shown when the image is stored
        keep(await making());
        drawList();
        changed();
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
    const replacement = chooser("Replace this frame by an image", (file) => take(() => studio.uploadImage(file, "image")));
    const keepers = kind === "mask"
      ? [["Keep this mask", false], ["Keep it for the end", true]].map(([title, atEnd]) => button(title, "check", () => take(stored, atEnd), { text: true, class: "button small" }))
      : [
          button("Use an image", "image", () => replacement.click(), { text: true, class: "button small" }), replacement,
          button("Keep this frame", "check", () => take(stored), { text: true, class: "button small" }),
        ];
    const row = h(
      "div", { class: "brushes" },
      size, kind === "colour" ? colour : null, eraser,
      button("Undo a stroke", "undo", undo),
      button("Clear", null, () => clear(), { text: true, class: "button small quiet" }),
      kind === "colour" ? layerList() : null, keepers, list,
    );
    drawList();
    return row;
  };
})();
