/** Pictures that a person gave and the gallery does not hold: they live in this tab only. */

const kept = new Map();

/** Keep a file, and return the image that stands for it in a turn. */
export function keepUpload(file) {
  const upload = `${Date.now()}-${kept.size}`;
  kept.set(upload, { file, url: URL.createObjectURL(file) });
  return { upload, name: file.name || "pasted picture" };
}

/** Return whether an image can be searched with: the gallery holds it, or this tab does. */
export function isAtHand(image) {
  return Boolean(image.id) || kept.has(image.upload);
}

/** Return the file that an image stands for. */
export function fileOf(image) {
  return kept.get(image.upload).file;
}

/** Return the address of an upload's picture; null if this tab does not hold it. */
export function uploadUrl(image) {
  return kept.get(image.upload)?.url ?? null;
}
