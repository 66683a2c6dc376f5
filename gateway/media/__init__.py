"""Sound and pictures: clips decoded for loudspeakers, recorded video put into files with its bytes untouched. The only home of PyAV."""
