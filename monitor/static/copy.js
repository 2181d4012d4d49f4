// Copies a text where a browser allows it in one way or the other.

/**
 * Selects the field's text and copies it. Resolves to whether that worked; if not, the text is
 * selected for the keyboard.
 *
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 */
export async function copyFrom(field) {
  field.focus();
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    return document.execCommand("copy"); // over plain http a browser has no clipboard
  }
}
