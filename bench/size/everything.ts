// The whole public API kept alive; size.ts leaves src/formats out of it.
import * as neurite from "neurite";

Object.assign(globalThis, { neurite });
