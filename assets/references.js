/* References: images and clips that the model is shown beside the words. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, words, api, attempt, places, clearComplaints } = studio;
  const RECENT = 24;

  const isClip = (reference) => reference.startsWith("clip:");
  const idOf = (reference) => reference.slice("clip:".length);

  places.references = (element, trigger, props, watch) => {
    const slot = element.querySelector(".references");
    const told = JSON.parse(slot.dataset.told);
    let drawnFor;
    const input = h("input", {
      type: "file", accept: "image/png,image/jpeg,image/webp", class: "hidden-file", "aria-label": "Reference: choose an image",
      onchange: () => {
        if (input.files[0]) upload(input.files[0]);
        input.value = "";
      },
    });
    const chosen = () => props.value ?? [];
    const set = (references) => {
      props.value = references;
      trigger("change");
      draw();
    };
    const add = (reference) => chosen().includes(reference) || set([...chosen(), reference]);
    const upload = (file) =>
      attempt(async () => {
        clearComplaints();
        add(await studio.uploadImage(file, "references"));
      });
    const limits = () => told[studio.form?.model] ?? { images: 0, clips: 0, need_lora: false, roles: [] };
    const left = () => {
      const { images, clips } = limits();
      const shown = chosen().filter(isClip).length;
      return { images: images - (chosen().length - shown), clips: clips - shown };
    };
    const items = async () => {
      const { images, clips } = left();
      /* What was made meanwhile has to be in the list. */
      const recent = clips > 0 ? (await api(`/clips?limit=${RECENT}`).catch(() => ({ clips: [] }))).clips : [];
      const films = recent.filter((clip) => clip.has_video && !chosen().includes(`clip:${clip.id}`));
      return [
        ...(images > 0 ? [{ name: "image", title: "An image…", what: `PNG, JPEG or WebP; ${images} more` }] : []),
        ...films.map((clip) => ({ name: clip.id, title: clip.name || clip.request.prompt, what: `A clip of ${clip.duration_s.toFixed(1)} s, ${words.when(clip.created_at)}`, image: clip.urls.thumbnail })),
        ...(images > 0 || films.length ? [] : [{ name: "none", title: "Nothing more", what: clips > 0 ? "There is no clip in the library yet" : "These are as many as this model takes" }]),
      ];
    };
    const menu = studio.menu({
      label: "Add a reference", name: "References", iconName: "plus", items,
      chosen: (item) => (item.name === "image" ? input.click() : item.name === "none" ? null : add(`clip:${item.name}`)),
    });
    /* Where clips have roles, a tile says which it has: the next free one is the next clip's. */
    const roleOf = (reference) => {
      const { roles } = limits();
      if (!roles.length) return null;
      return isClip(reference) ? roles[chosen().filter(isClip).indexOf(reference)] : "character";
    };
    const tile = (reference, index) => {
      const what = isClip(reference) ? "clip" : "image";
      const role = roleOf(reference);
      const source = isClip(reference) ? `/api/v1/clips/${idOf(reference)}/thumbnail` : `/api/v1/media/${reference}`;
      const face = h("img", { src: source, alt: `Reference ${index + 1}, ${role ? `the ${role}` : what === "clip" ? "a clip" : "an image"}` });
      face.addEventListener("error", () => face.replaceWith(icon(isClip(reference) ? "film" : "image")));
      return h(
        "div", { class: "reference-tile", role: "listitem", "data-kind": what },
        face, role && h("span", { class: "reference-role" }, role), button(`Remove reference ${index + 1}`, "close", () => set(chosen().filter((each) => each !== reference))),
      );
    };
    const draw = () => {
      drawnFor = studio.form?.model;
      const { images, clips, need_lora, are_needed, roles } = limits();
      const many = (count, what) => (count ? `${count === 1 ? "one" : `up to ${count}`} ${what}${count === 1 ? "" : "s"}` : "");
      const most = [many(images, "image"), many(clips, "clip")].filter(Boolean).join(" and ");
      const role = roles.length
        ? `The image is the character that acts. Clips in this order: ${roles.join(", ")}; the first is needed.`
        : need_lora
        ? "that a LoRA follows, such as poses or depths. Add that LoRA under Styles."
        : clips ? "Images show what is to be seen; the new clip follows a clip, such as poses, depth or a sketch." : "They show what is to be seen.";
      const hint = `${are_needed ? "Needed" : "Optional"}: ${most}${need_lora ? " " : ". "}${role}`;
      slot.replaceChildren(
        h("div", { class: "slot-text" }, h("b", {}, "References"), h("span", {}, hint)),
        h("div", { class: "reference-tiles", role: "list" }, chosen().map(tile)),
        menu, input,
      );
    };
    watch("value", draw);
    addEventListener("studio-form", () => studio.form.model === drawnFor || draw()); // drawn anew, it would lose the keyboard
    draw();
  };
})();
