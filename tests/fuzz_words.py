"""Texts that parsers read, and the words these are made of."""

from __future__ import annotations

from fuzz_seeds import words

PARSER_SEEDS: dict[str, tuple[str, ...]] = {
    "adduct": (
        *(
            "[M+H]+",
            "[M-H]-",
            "[2M+Na-2H]-",
            "[M-C6H10O5+H]+",
            "M+H",
            "[M+2H]2+",
            "[M]+*",
            "[Cat]+",
            "M+NH4+",
        ),
        *("[M+FA-H]-", "[M+ACN+H]+", "[3M+Ca-H]+", "[M-(H2O)2+H]1+", "[M+CH3COO]-/[M-CH3]-"),
    ),
    "formula": (
        "C8H10N4O2",
        "[13C]6H12O6",
        "C5H14NO+",
        "[C9H14N]+",
        "Ca(OH)2",
        "C6H5(CH2)3[2H]D2T",
        "[Ca]2+",
    ),
    "formulas": ("C8H10N4O2\nC5H14NO+", "[13C]6H12O6\nCH4", "C6H12O6"),
    "elements": ("CHNO", "CHNOPS", "C H N O Cl Br", "C,H,N", "CHNOF", "C8H10"),
    "tolerance": ("10ppm", "10 ppm", "0.01 Da", "5 mDa", "1e-3Da", ".5ppm"),
    "usi": (
        "mzspec:GNPS:GNPS-LIBRARY:accession:CCMSLIB00000001547",
        "mzspec:MASSBANK::accession:SM858102",
        "mzspec:PXD000561:Adult_Frontalcortex_bRP_Elite_85_f09:scan:17555:VLHPLEGAVVIIFK/2",
        "mzspec:PXD010154:01284_E04.mzML:nativeId:1,1,2740:[UNIMOD:214]YYWGG/2",
    ),
    "molecule": (
        *(
            "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
            "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
            "[13CH4]",
            "C[N+](C)(C)CCO",
        ),
        *(
            "F/C=C/F",
            "[Na+].[Cl-]",
            "c1ccc2[nH]ccc2c1",
            "C%12CCCC%12",
            "[Fe+2]",
            "CC(C)C[C@H](N)C(=O)O",
            "N#N",
        ),
    ),
}
PARSER_TOKENS: dict[str, tuple[bytes, ...]] = {
    "adduct": words("[ ] ( ) M 2M Cat + - ++ 2+ 9+ 99 H Na ACN FA HCOO * · ⁺ ² − C6H10O5 Xx 0 ٣ ²M 10M"),
    "formula": words("C H ( ) [ ] [13C] [99C] D T + - 2+ ++ 100000 0 Xx Uuo () (C)99999 ٣ ²"),
    "formulas": (*words("C H ( ) [ ] [13C] D + - 2+ 100000 0 Xx"), b"\n"),
    "elements": words("C H N O Cl Br Xx 2 , ; [13C] D * + ()"),
    "tolerance": words("ppm Da mDa PPM e E . .. + - 1e308 1e-400 ٣ ² % nan inf"),
    "usi": (*words("mzspec: : :: scan index nativeId accession PXD 1 / ٣ \u2028 ²"), b"\n", b"\r"),
    "molecule": words(
        "C c N n O [ ] ( ) = # $ / \\ @ @@ % %99 1 2 9 . + - -- [Fe] [2H] [H] [*] * [C:1] [999C] [C+9] ~ : & "
        "! ; , [CH99] [Xx] c1ccccc1 C1CC1 ((( ))) [nH] >> -> <- |^1:0| {} [C@SP1] [C@TB20] [#6] [#999]"
    ),
}  # fmt: skip
