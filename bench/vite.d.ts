// Files as strings (`?raw`) and `import.meta.glob`, as Vite has them.
/// <reference types="vite/client" />
