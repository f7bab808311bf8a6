import directRegister from "./directRegister.ts";
import implicitGemm from "./implicitGemm.ts";
import naive from "./naive.ts";

export default [naive, directRegister, implicitGemm];
