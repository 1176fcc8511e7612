"""What presets cite, in full."""

from __future__ import annotations

MCCAUGHAN = (
    "A. N. McCaughan et al., Multiplexed gradient descent: fast online training of modern datasets on hardware neural"
    " networks without backpropagation, APL Machine Learning 1, 026118 (2023)"
)
HARRIS = (
    "N. C. Harris et al., Efficient, compact and low loss thermo-optic phase shifter in silicon, Opt. Express 22, 10487"
    " (2014)"
)
LE_GALLO = (
    "M. Le Gallo et al., A 64-core mixed-signal in-memory compute chip based on phase-change memory for deep neural"
    " network inference, Nature Electronics 6, 680 (2023)"
)
LIKHAREV = "K. K. Likharev and V. K. Semenov, RSFQ logic/memory family, IEEE Trans. Appl. Supercond. 1, 3 (1991)"
GONG = (
    "N. Gong et al., Signal and noise extraction from analog memory elements for neuromorphic computing, Nature"
    " Communications 9, 2102 (2018)"
)
LEE = (
    "H. Y. Lee et al., Low power and high speed bipolar switching with a thin reactive Ti buffer layer in robust HfO2"
    " based RRAM, IEDM (2008)"
)
PCM_REVIEW = "Journal of Nanomaterials 2013, 195325, table 4"
NANDAKUMAR_2019 = (
    "S. R. Nandakumar et al., Phase-change memory models for deep learning training and inference, ICECS (2019)"
)
NANDAKUMAR_2020 = (
    "S. R. Nandakumar et al., Mixed-precision deep learning based on computational memory, Front. Neurosci. 14, 406"
    " (2020)"
)
LI = (
    "Y. Li et al., Capacitor-based cross-point array for analog neural network with record symmetry and linearity, VLSI"
    " Technology (2018)"
)
GOKMEN = (
    "T. Gokmen and Y. Vlasov, Acceleration of deep neural network training with resistive cross-point devices, Front."
    " Neurosci. 10, 333 (2016)"
)
GUO = (
    "X. Guo et al., Fast, energy-efficient, robust, and reproducible mixed-signal neuromorphic classifier based on"
    " embedded NOR flash memory technology, IEDM (2017)"
)
BAYAT = (
    "F. Merrikh Bayat et al., Sub-1-us, sub-20-nJ pattern classification in a mixed-signal circuit based on embedded"
    " 180-nm floating-gate memory cell arrays, arXiv:1610.02091 (2016)"
)
BEZ = "R. Bez et al., Introduction to flash memory, Proc. IEEE 91, 489 (2003)"
ZHANG = (
    "W. Zhang et al., Silicon microring synapses enable photonic deep learning beyond 9-bit precision, Optica 9, 579"
    " (2022)"
)
ATABAKI = (
    "A. H. Atabaki et al., Optimization of metallic microheaters for high-speed reconfigurable silicon photonics, Opt."
    " Express 18, 18312 (2010)"
)
ECHEVERRIA = (
    "J. García Echeverría et al., Self-calibrated microring weight function for neuromorphic optical computing,"
    " arXiv:2409.06604 (2024)"
)
DAI = (
    "D. Dai, L. Yang and S. He, Ultrasmall thermally tunable microring resonator with a submicrometer heater on Si"
    " nanowires, J. Lightwave Technol. 26, 704 (2008)"
)
PADMARAJU = (
    "K. Padmaraju and K. Bergman, Resolving the thermal challenges for silicon microring resonator devices,"
    " Nanophotonics 3, 269 (2014)"
)
AIHWKIT = "as IBM's aihwkit has fitted it to measurements"
