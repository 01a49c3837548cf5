/** The user's own images that are not in the gallery; they exist in this tab only. */

const kept = new Map();

/** Store a file and return the image that represents it in a turn. */
export function storeUpload(file) {
  const upload = `${Date.now()}-${kept.size}`;
  kept.set(upload, { file, url: URL.createObjectURL(file) });
  return { upload, name: file.name || "pasted image" };
}

/** Return whether an image can be used in a query: it is in the gallery or in this tab. */
export function isAvailable(image) {
  return Boolean(image.id) || kept.has(image.upload);
}

/** Return the file of an image. */
export function fileOf(image) {
  return kept.get(image.upload).file;
}

/** Return the URL of an upload; null if it is not in this tab. */
export function uploadUrl(image) {
  return kept.get(image.upload)?.url ?? null;
}
