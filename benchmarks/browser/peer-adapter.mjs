/** The usual stack needs nothing but the same mouse; see `map.mjs`. */

import { useBrowsersMouse } from './mouse.mjs';

export const init = useBrowsersMouse;
