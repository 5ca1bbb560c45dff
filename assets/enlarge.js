/* What other models do for a finished clip: enlarge it, by a menu that is there where its model has an upscaler, or edit it. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, api, attempt, toast } = studio;
  let asking = null;

  /* The models, asked for once. */
  studio.models = () => {
    asking ??= api("/models").catch((error) => {
      asking = null;
      throw error;
    });
    return asking;
  };

  /* How many times as wide and high clips of a model can be made; empty for a model without an upscaler, or one that is gone. */
  studio.upscaleFactors = async (model) => {
    const found = (await studio.models()).find((each) => each.id === model);
    return (found?.upscale_factors ?? []).filter((factor) => factor > 1);
  };

  /* A list, and in it the models that `suit`. */
  studio.withMakers = (field, suit) => {
    const size = (bytes) => (bytes ? `${Math.round(bytes / 1e9)} GB` : "a large");
    const label = (model) => (model.is_local ? model.title : `${model.title} · ${size(model.download_bytes)} download`);
    attempt(async () => {
      const found = (await studio.models()).filter(suit);
      field.querySelector("select").append(...found.map((each) => h("option", { value: each.id }, label(each))));
    });
    return field;
  };

  const enlarge = (clip, factor) =>
    attempt(async () => {
      const edit = { kind: "upscale", factor };
      studio.submitted(await api("/edits", { method: "POST", json: { source: `clip:${clip.id}`, edit } }));
      toast("An enlarged take is on its way; this clip stays as it is.");
    });

  studio.enlargeMenu = (clip) => {
    let factors = [];
    const menu = studio.menu({
      label: "Enlarge the clip",
      name: "Enlarge",
      iconName: "enlarge",
      bare: true,
      items: () =>
        factors.map((factor) => ({ name: String(factor), title: `Enlarge ${factor}x`, what: `${clip.width * factor} × ${clip.height * factor}`, factor })),
      chosen: ({ factor }) => enlarge(clip, factor),
    });
    menu.hidden = true;
    if (clip.has_video)
      attempt(async () => {
        factors = await studio.upscaleFactors(clip.request.model);
        menu.hidden = !factors.length;
      });
    return menu;
  };
})();
