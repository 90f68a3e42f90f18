"""The agents of HMARL-SOC, a file each: networks, how it acts, how it learns, what it keeps."""
